//! Conversations with a server: requests that are whole, damaged or lie, sent as clients and attackers send.

mod requests;

use crate::corpus::Kind;
use crate::mutate::mutate;
use requests::{lie, whole};
use std::fmt::Write;
use xray_random::Random;

/// Something that a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Milliseconds.
    Pause(u64),
    /// Sends nothing more, and still reads.
    End,
    /// Goes without reading.
    Cut,
}

/// What a client does on one connection. After the last step it sends nothing more and reads to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) number: u64,
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// The status of each answer, where the requests are whole.
    pub(crate) expected: Vec<u16>,
}

/// One conversation; the first ones are whole requests.
pub(crate) fn conversation(seed: u64, number: u64) -> Conversation {
    let mut random = Kind::Http.random(seed, number);
    let requests = whole();
    if let Some((name, bytes, status)) = usize::try_from(number).ok().and_then(|number| requests.get(number))
    {
        let steps = vec![Step::Send(bytes.clone())];
        return Conversation { number, name: (*name).to_owned(), steps, expected: vec![*status] };
    }
    let (name, mut bytes, _) = requests[random.below(requests.len())].clone();
    let mut expected = Vec::new();
    match random.below(10) {
        0..=3 => bytes = lie(&bytes, &mut random),
        4..=6 => {
            let other = &requests[random.below(requests.len())].1;
            mutate(&mut bytes, other, &mut random);
        }
        7 | 8 => {
            let several: Vec<_> =
                (0..1 + random.below(12)).map(|_| &requests[random.below(requests.len())]).collect();
            bytes = several.iter().flat_map(|(_, bytes, _)| bytes.clone()).collect();
            expected = several.iter().map(|(_, _, status)| *status).collect();
        }
        _ => {
            expected = requests
                .iter()
                .find(|(other, ..)| *other == name)
                .map(|(.., status)| *status)
                .into_iter()
                .collect()
        }
    }
    let steps = delivery(bytes, &mut random);
    let all_is_sent = !steps.iter().any(|step| matches!(step, Step::End | Step::Cut));
    Conversation {
        number,
        name: name.to_owned(),
        steps,
        expected: if all_is_sent { expected } else { Vec::new() },
    }
}

/// At once, in pieces, slowly, not to its end, or without reading the answer.
fn delivery(bytes: Vec<u8>, random: &mut Random) -> Vec<Step> {
    let at = random.below(bytes.len() + 1);
    let cut = |how: Step| vec![Step::Send(bytes[..at].to_vec()), Step::Pause(at as u64 % 40), how];
    match random.below(12) {
        0 => cut(Step::End),
        1 => cut(Step::Cut),
        2 => vec![Step::Send(bytes[..at].to_vec()), Step::Pause(300), Step::Send(bytes[at..].to_vec())],
        3 => {
            let length = bytes.len().div_ceil(30).max(1);
            bytes.chunks(length).flat_map(|piece| [Step::Send(piece.to_vec()), Step::Pause(5)]).collect()
        }
        4 => {
            // Byte by byte, as long as heads are.
            let at = at.min(40);
            let mut steps: Vec<_> =
                bytes[..at].iter().flat_map(|&byte| [Step::Send(vec![byte]), Step::Pause(3)]).collect();
            steps.push(Step::Send(bytes[at..].to_vec()));
            steps
        }
        5 => vec![Step::Send(bytes), Step::Pause(400)],
        6 => vec![Step::Pause(200), Step::Send(bytes)],
        _ => vec![Step::Send(bytes)],
    }
}

impl Conversation {
    /// As a text that can be read: a step in each line, bytes escaped as in Rust.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("# {}\n", self.name);
        for step in &self.steps {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Send(bytes) => writeln!(text, "send \"{}\"", bytes.escape_ascii()),
                Step::Pause(milliseconds) => writeln!(text, "pause {milliseconds} ms"),
                Step::End => writeln!(text, "send nothing more"),
                Step::Cut => writeln!(text, "close"),
            };
        }
        text
    }

    /// Whether one of the answers may be to HEAD.
    pub(crate) fn asks_for_heads(&self) -> bool {
        let sent: Vec<u8> = self
            .steps
            .iter()
            .flat_map(|step| if let Step::Send(bytes) = step { &bytes[..] } else { &[] })
            .copied()
            .collect();
        sent.windows(4).any(|four| four == b"HEAD")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_a_function_of_seed_and_number() {
        let other = (100..400).filter(|&number| {
            assert_eq!(conversation(0, number), conversation(0, number));
            conversation(0, number) != conversation(1, number)
        });
        assert!(other.count() > 250);
    }

    #[test]
    fn a_conversation_can_be_read() {
        let steps = vec![Step::Send(b"GET / HTTP/1.1\r\n\r\n\xFF".to_vec()), Step::Pause(5), Step::End];
        let conversation = Conversation { number: 0, name: "page".to_owned(), steps, expected: Vec::new() };
        let text = "# page\nsend \"GET / HTTP/1.1\\r\\n\\r\\n\\xff\"\npause 5 ms\nsend nothing more\n";
        assert_eq!(conversation.text(), text);
    }
}
