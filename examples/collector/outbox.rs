//! What a client is sent: the newest number, in whole lines.

use std::io::{self, ErrorKind};

/// What is on its way to one client. A number that was not begun yet is superseded by a greater one; a line
/// that was begun is finished first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// The last number that was begun.
    begun: u64,
    rest: Vec<u8>,
}

/// What has come of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// All there is.
    All,
    /// The client does not read: there is more.
    Part,
    /// Nobody is there any more.
    Gone,
}

impl Outbox {
    /// The last number that was sent, or begun.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// Has `send` take what there is, up to this number. It must not block.
    pub(crate) fn send(&mut self, number: u64, mut send: impl FnMut(&[u8]) -> io::Result<usize>) -> Sent {
        loop {
            if self.rest.is_empty() {
                if number <= self.begun {
                    return Sent::All;
                }
                self.begun = number;
                self.rest = format!("{number}\n").into_bytes();
            }
            match send(&self.rest) {
                Ok(0) => return Sent::Gone,
                Ok(bytes) => drop(self.rest.drain(..bytes)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Sent::Part,
                Err(_) => return Sent::Gone,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that takes so many bytes, and then no more for now.
    fn taking(most: usize, taken: &mut Vec<u8>) -> impl FnMut(&[u8]) -> io::Result<usize> {
        let mut left = most;
        move |bytes| {
            let fits = bytes.len().min(left);
            taken.extend(&bytes[..fits]);
            left -= fits;
            if fits == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(fits) }
        }
    }

    #[test]
    fn a_line_that_was_begun_is_finished_and_then_the_newest_comes() {
        let (mut outbox, mut taken) = (Outbox::default(), Vec::new());
        assert_eq!(outbox.send(100, taking(2, &mut taken)), Sent::Part);
        assert_eq!(outbox.send(200, taking(0, &mut taken)), Sent::Part);
        assert_eq!(outbox.send(345, taking(99, &mut taken)), Sent::All);
        assert_eq!(taken, b"100\n345\n");
        assert_eq!(outbox.send(345, taking(99, &mut taken)), Sent::All);
        assert_eq!(taken, b"100\n345\n", "it is said once");
    }

    #[test]
    fn nothing_is_said_of_nothing() {
        let mut taken = Vec::new();
        assert_eq!(Outbox::default().send(0, taking(9, &mut taken)), Sent::All);
        assert!(taken.is_empty());
    }

    #[test]
    fn who_is_gone_is_gone() {
        let gone = |_: &[u8]| Err(ErrorKind::BrokenPipe.into());
        assert_eq!(Outbox::default().send(1, gone), Sent::Gone);
    }
}
