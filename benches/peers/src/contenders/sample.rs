//! The events that are stored: 200 bytes each.

/// How many of the newest events are kept.
pub const KEPT: usize = 100_000;

/// An event as bytes, for those that keep bytes.
pub type Record = [u8; 200];

/// Something that can be stored.
pub trait Sample: Clone + Send + Sync + 'static {
    /// Event number `n`, one of those that belong together under `correlation`.
    fn new(n: u64, correlation: u64) -> Self;

    /// What it belongs to.
    fn correlation(&self) -> u64;
}

/// The least that an event can be: 200 bytes in one piece, with nothing on the heap.
#[derive(Clone, Copy)]
pub struct Plain {
    #[expect(dead_code, reason = "it is carried, not read")]
    id: u64,
    correlation: u64,
    // With a value that no `bool` has, an enum around an event takes no more space than the event.
    #[expect(dead_code, reason = "it is carried, not read")]
    is_text: bool,
    #[expect(dead_code, reason = "it is carried, not read")]
    data: [u8; 183],
}

impl Sample for Plain {
    fn new(n: u64, correlation: u64) -> Self {
        Self { id: n, correlation, is_text: true, data: [n as u8; 183] }
    }

    fn correlation(&self) -> u64 {
        self.correlation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_event_has_as_many_bytes_as_a_record() {
        assert_eq!(size_of::<Plain>(), size_of::<Record>());
        assert_eq!(size_of::<Option<Plain>>(), size_of::<Record>());
    }
}
