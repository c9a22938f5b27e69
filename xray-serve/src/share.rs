//! How much each client has of something that all share: places in a queue, room for bodies.
//!
//! While there is enough, anyone may have it all, a proxy behind which everyone is or a program that measures. When it
//! runs short, who has little takes it from who has the most, until nobody has much more than another.

use crate::client::Client;
use std::collections::HashMap;

#[derive(Debug, Default)]
pub(crate) struct Shares(HashMap<Client, usize>);

impl Shares {
    pub(crate) fn of(&self, client: Client) -> usize {
        self.0.get(&client).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, client: Client, amount: usize) {
        *self.0.entry(client).or_default() += amount;
    }

    pub(crate) fn take(&mut self, client: Client, amount: usize) {
        if let Some(has) = self.0.get_mut(&client) {
            *has = has.saturating_sub(amount);
            if *has == 0 {
                self.0.remove(&client);
            }
        }
    }

    /// Who has the most, if that is more than `client` would have with so much more.
    pub(crate) fn richer(&self, client: Client, amount: usize) -> Option<Client> {
        let (richest, most) = self.0.iter().max_by_key(|(_, has)| **has)?;
        (*most > self.of(client) + amount).then_some(*richest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_little_may_take_from_who_has_the_most() {
        let mut shares = Shares::default();
        let [a, b, c] = [1, 2, 3].map(Client::V4);
        shares.add(a, 5);
        shares.add(b, 2);
        assert_eq!(shares.richer(c, 1), Some(a));
        assert_eq!(shares.richer(b, 1), Some(a));
        assert_eq!(shares.richer(a, 1), None, "nobody takes from itself");
        assert_eq!(shares.richer(b, 3), None);
        shares.take(a, 5);
        assert_eq!((shares.of(a), shares.richer(c, 1)), (0, Some(b)));
        shares.take(b, 9);
        assert!(shares.0.is_empty(), "nobody is remembered");
    }
}
