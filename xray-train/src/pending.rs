//! Steps that the device was given and whose loss and norm nobody has read yet. A GPU that runs behind is asked seldom,
//! for it would have to stand still to answer; but not so seldom that whoever stops the run waits for it.

use std::time::{Duration, Instant};
use xray_model::Learner;

/// A step that the device was given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    /// Steps done, this one included.
    pub(crate) step: u64,
    /// The rate that was used.
    pub(crate) learning_rate: f64,
    /// Names of its images.
    pub(crate) ids: Vec<String>,
}

/// Steps that wait to be read, oldest first.
#[derive(Default)]
pub(crate) struct Pending {
    steps: Vec<Given>,
    /// When the oldest of them was begun.
    since: Option<Instant>,
    /// What a step took when steps were last read.
    seconds_a_step: Option<f64>,
}

/// About as much work lies before a device at most: a signal and `max_time` are noticed behind it.
const MOST: Duration = Duration::from_secs(1);

impl Pending {
    /// Takes up a step that was begun then.
    pub(crate) fn push(&mut self, step: Given, begun: Instant) {
        self.since.get_or_insert(begun);
        self.steps.push(step);
    }

    /// Whether no step may follow before they are read. The first is read at once, to see how long a step takes.
    pub(crate) fn is_full(&self) -> bool {
        let room = self.seconds_a_step.map_or(1, |seconds| (MOST.as_secs_f64() / seconds) as usize);
        self.steps.len() >= room.clamp(1, Learner::MAX_UNREAD)
    }

    /// The steps, which were read by then.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Given> {
        if let Some(since) = self.since.take() {
            self.seconds_a_step = Some((now - since).as_secs_f64() / self.steps.len() as f64);
        }
        std::mem::take(&mut self.steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(step: u64) -> Given {
        Given { step, learning_rate: 0.1, ids: vec![format!("image {step}")] }
    }

    /// Gives as many steps as there is room for, which the device takes one after the other.
    fn fill(pending: &mut Pending, now: &mut Instant, a_step: Duration) -> usize {
        let mut count = 0;
        while !pending.is_full() {
            count += 1;
            pending.push(given(count), *now);
        }
        *now += a_step * count as u32;
        assert_eq!(pending.take(*now), (1..=count).map(given).collect::<Vec<_>>());
        count as usize
    }

    #[test]
    fn about_a_second_of_work_is_pending_at_most() {
        let check = |milliseconds, expected| {
            let (mut pending, mut now) = (Pending::default(), Instant::now());
            // Kernels are compiled in the first step.
            assert_eq!(fill(&mut pending, &mut now, Duration::from_secs(9)), 1);
            let a_step = Duration::from_millis(milliseconds);
            assert_eq!(fill(&mut pending, &mut now, a_step), 1);
            // What else the loop does takes no part in the measurement.
            now += Duration::from_secs(300);
            assert_eq!(fill(&mut pending, &mut now, a_step), expected);
            assert_eq!(fill(&mut pending, &mut now, a_step), expected);
        };
        check(0, Learner::MAX_UNREAD);
        check(5, Learner::MAX_UNREAD);
        check(125, 8);
        check(400, 2);
        check(3000, 1);
    }

    #[test]
    fn nothing_pending_is_nothing_to_take() {
        let mut pending = Pending::default();
        assert_eq!(pending.take(Instant::now()), []);
        assert!(!pending.is_full());
    }
}
