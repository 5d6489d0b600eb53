//! From bytes to frames: RFC 6587, as a pure machine.
//!
//! Each frame is read as what it looks like. Digits and a space are an octet count (section
//! 3.4.1); anything else is a line that ends with a line feed (section 3.4.2). After a line, a count
//! has to be followed by `<` to be taken for one: so `12 monkeys` in the midst of lines stays a
//! line. As the first thing on a connection it does not; that ambiguity is the RFC's.

/// The longest line or frame that is taken, if nothing else is said.
pub(crate) const MAX_LINE: usize = 64 * 1024;

/// A connection starts with so little, for most of them are idle.
const FIRST_SPACE: usize = 1024;
/// A longer run of digits is text.
const MAX_DIGITS: usize = 10;

/// What a frame turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A message, without its framing.
    Line(Vec<u8>),
    /// Something that cannot be a message.
    Broken(Fault),
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Longer than the limit. What it held was skipped.
    TooLong,
    /// The input ended before the frame did.
    Truncated,
}

/// What the decoder is inside of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    Line,
    Counted(usize),
    SkipOctets(u64),
    SkipLine,
}

/// What comes next, by its first bytes.
enum Start {
    Line,
    Counted { header: usize, octets: u64 },
    Unsure,
}

/// What a step has come to.
enum Step {
    Frame(Frame),
    Again,
    /// It needs more bytes.
    Starved,
}

/// Cuts a stream of bytes into frames.
///
/// Bytes go in through [`space`](Self::space) and [`filled`](Self::filled), frames come out of
/// [`next`](Self::next) until it says `None`, and [`finish`](Self::finish) ends it.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    /// What is not consumed yet is `head..tail`.
    head: usize,
    tail: usize,
    /// How much of that is known to hold no line feed: no byte is looked at twice.
    scanned: usize,
    state: State,
    /// The longest frame that is taken: this one, and the next. The decoder holds at most twice this.
    max: usize,
    next_max: usize,
    /// The last frame was a line.
    after_line: bool,
    /// There are no octet counts.
    only_lines: bool,
}

impl Decoder {
    /// For a connection.
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            head: 0,
            tail: 0,
            scanned: 0,
            state: State::Between,
            max: MAX_LINE,
            next_max: MAX_LINE,
            after_line: false,
            only_lines: false,
        }
    }

    /// For a file: every line is a line.
    pub(crate) fn of_lines() -> Self {
        Self { after_line: true, only_lines: true, ..Self::new() }
    }

    /// From the next frame on, no longer one is taken.
    pub(crate) fn limit(&mut self, bytes: usize) {
        self.next_max = bytes;
    }

    /// Where the next bytes go. Never empty once `next` has said `None`.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let was_full = self.tail == self.buffer.len();
        self.buffer.copy_within(self.head..self.tail, 0);
        self.tail -= self.head;
        self.head = 0;
        if was_full {
            let most = (2 * self.max).max(FIRST_SPACE);
            let size = (self.buffer.len() * 2).clamp(FIRST_SPACE, most);
            // It may have grown under a higher limit.
            self.buffer.resize(size.max(self.buffer.len()), 0);
        }
        &mut self.buffer[self.tail..]
    }

    /// So many bytes were put into the space.
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.tail += bytes;
        debug_assert!(self.tail <= self.buffer.len());
    }

    /// The next frame, if it is complete.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            let step = match self.state {
                State::Between => self.begin(),
                State::Line => self.line(),
                State::Counted(octets) => self.counted(octets),
                State::SkipOctets(octets) => self.skip_octets(octets),
                State::SkipLine => self.skip_line(),
            };
            match step {
                Step::Again => {}
                Step::Frame(frame) => return Some(frame),
                Step::Starved => return None,
            }
        }
    }

    /// The input has ended: what is left of it, if anything. Bytes without a line feed are a line:
    /// many a sender leaves the last one out.
    pub(crate) fn finish(&mut self) -> Option<Frame> {
        let rest = self.take(self.tail - self.head);
        self.scanned = 0;
        match std::mem::replace(&mut self.state, State::Between) {
            State::Counted(_) => Some(Frame::Broken(Fault::Truncated)),
            State::SkipOctets(_) | State::SkipLine => None,
            _ if rest.is_empty() => None,
            State::Between if !self.after_line && rest.iter().all(u8::is_ascii_digit) => {
                Some(Frame::Broken(Fault::Truncated))
            }
            _ => Some(Frame::Line(rest)),
        }
    }

    /// As [`finish`](Self::finish), after an error: what is left was cut off.
    pub(crate) fn abort(&mut self) -> Option<Frame> {
        self.finish().map(|_| Frame::Broken(Fault::Truncated))
    }

    fn begin(&mut self) -> Step {
        self.max = self.next_max;
        if !self.after_line && self.rest().first() == Some(&b'\n') {
            self.head += 1; // some senders count the octets and end the line as well
            return Step::Again;
        }
        let start = match self.only_lines {
            true => Start::Line,
            false => start_of(self.rest(), self.after_line),
        };
        match start {
            Start::Unsure => Step::Starved,
            Start::Line => self.go_on(State::Line),
            Start::Counted { header, octets } => {
                self.head += header;
                self.after_line = false;
                self.count(octets)
            }
        }
    }

    fn count(&mut self, octets: u64) -> Step {
        match usize::try_from(octets) {
            Ok(octets) if octets <= self.max => self.go_on(State::Counted(octets)),
            _ => {
                self.state = State::SkipOctets(octets);
                Step::Frame(Frame::Broken(Fault::TooLong))
            }
        }
    }

    fn line(&mut self) -> Step {
        match self.find_line_feed() {
            Some(length) if length <= self.max => {
                let line = self.take(length + 1);
                self.end_line(Frame::Line(line))
            }
            Some(length) => {
                self.head += length + 1;
                self.end_line(Frame::Broken(Fault::TooLong))
            }
            None if self.scanned > self.max => {
                self.head = self.tail;
                self.scanned = 0;
                self.state = State::SkipLine;
                Step::Frame(Frame::Broken(Fault::TooLong))
            }
            None => Step::Starved,
        }
    }

    fn end_line(&mut self, frame: Frame) -> Step {
        self.scanned = 0;
        self.after_line = true;
        self.state = State::Between;
        Step::Frame(frame)
    }

    fn counted(&mut self, octets: usize) -> Step {
        if self.tail - self.head < octets {
            return Step::Starved;
        }
        self.state = State::Between;
        Step::Frame(Frame::Line(self.take(octets)))
    }

    fn skip_octets(&mut self, octets: u64) -> Step {
        let here = self.rest().len().min(usize::try_from(octets).unwrap_or(usize::MAX));
        self.head += here;
        let left = octets - here as u64;
        if left > 0 {
            self.state = State::SkipOctets(left);
            return Step::Starved;
        }
        self.go_on(State::Between)
    }

    fn skip_line(&mut self) -> Step {
        let found = self.find_line_feed();
        self.scanned = 0;
        let Some(length) = found else {
            self.head = self.tail;
            return Step::Starved;
        };
        self.head += length + 1;
        self.after_line = true;
        self.go_on(State::Between)
    }

    fn go_on(&mut self, state: State) -> Step {
        self.state = state;
        Step::Again
    }

    fn rest(&self) -> &[u8] {
        &self.buffer[self.head..self.tail]
    }

    /// How long the line is, if its end is there.
    fn find_line_feed(&mut self) -> Option<usize> {
        let fresh = &self.buffer[self.head + self.scanned..self.tail];
        let found = fresh.iter().position(|byte| *byte == b'\n').map(|at| self.scanned + at);
        self.scanned = self.tail - self.head;
        found
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let taken = self.buffer[self.head..self.head + bytes].to_vec();
        self.head += bytes;
        taken
    }
}

/// What these bytes begin. `strict`: a count is one only in front of a priority.
fn start_of(bytes: &[u8], strict: bool) -> Start {
    let digits = bytes.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let is_number = digits > 0 && digits <= MAX_DIGITS && bytes[0] != b'0';
    match bytes.get(digits) {
        None if bytes.is_empty() || is_number => Start::Unsure,
        Some(b' ') if is_number => match bytes.get(digits + 1) {
            None if strict => Start::Unsure,
            next if strict && next != Some(&b'<') => Start::Line,
            _ => Start::Counted { header: digits + 1, octets: value_of(&bytes[..digits]) },
        },
        _ => Start::Line,
    }
}

fn value_of(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in pieces of `size` bytes, to its end.
    fn decode(input: &[u8], size: usize) -> Vec<Frame> {
        let mut decoder = Decoder::new();
        let mut frames = feed(&mut decoder, input, size);
        frames.extend(decoder.finish());
        assert!(decoder.buffer.len() <= 2 * MAX_LINE);
        frames
    }

    fn feed(decoder: &mut Decoder, input: &[u8], size: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        for mut piece in input.chunks(size) {
            while !piece.is_empty() {
                let space = decoder.space();
                let fits = piece.len().min(space.len());
                assert!(fits > 0, "there is always space");
                space[..fits].copy_from_slice(&piece[..fits]);
                decoder.filled(fits);
                piece = &piece[fits..];
                frames.extend(std::iter::from_fn(|| decoder.next()));
            }
        }
        frames
    }

    /// The frames, however the input is cut.
    fn frames(input: &[u8]) -> Vec<Frame> {
        let whole = decode(input, input.len().max(1));
        for size in [1, 2, 3, 7, 1000] {
            assert_eq!(decode(input, size), whole, "in pieces of {size}");
        }
        whole
    }

    fn line(text: &[u8]) -> Frame {
        Frame::Line(text.to_vec())
    }

    /// Newline-framed lines keep their line feed: the parser trims it.
    #[test]
    fn lines_end_with_a_line_feed_and_the_last_one_may_lack_it() {
        assert_eq!(frames(b"<13>a\n\n<13>b"), [line(b"<13>a\n"), line(b"\n"), line(b"<13>b")]);
        assert_eq!(frames(b""), []);
    }

    #[test]
    fn octet_counts_hide_line_feeds_and_may_be_followed_by_one() {
        assert_eq!(
            frames(b"5 <1>a\n6 <1>bcd\n5 <1>e\n"),
            [line(b"<1>a\n"), line(b"<1>bcd"), line(b"<1>e\n")]
        );
    }

    #[test]
    fn both_framings_may_take_turns() {
        assert_eq!(frames(b"4 <1>a<1>b\n4 <1>c"), [line(b"<1>a"), line(b"<1>b\n"), line(b"<1>c")]);
    }

    #[test]
    fn after_a_line_a_number_is_text_unless_a_priority_follows() {
        assert_eq!(frames(b"<1>a\n12 monkeys\n"), [line(b"<1>a\n"), line(b"12 monkeys\n")]);
        assert_eq!(frames(b"2024-01-01 hi\n007 bond\n"), [line(b"2024-01-01 hi\n"), line(b"007 bond\n")]);
        assert_eq!(frames(b"12345678901 x\n"), [line(b"12345678901 x\n")]);
    }

    #[test]
    fn a_count_that_is_not_met_is_truncated() {
        let truncated = Frame::Broken(Fault::Truncated);
        for input in [&b"50 short"[..], b"50 ", b"50", b"9"] {
            assert_eq!(frames(input), std::slice::from_ref(&truncated), "{input:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_told_once_and_skipped() {
        let long = vec![b'x'; MAX_LINE + 1];
        let too_long = Frame::Broken(Fault::TooLong);
        let by_line = [&long[..], b"\n<1>a\n"].concat();
        assert_eq!(frames(&by_line), [too_long.clone(), line(b"<1>a\n")]);
        let by_count = [b"65537 ", &long[..], b"4 <1>a"].concat();
        assert_eq!(frames(&by_count), [too_long.clone(), line(b"<1>a")]);
        assert_eq!(frames(b"9999999999 <1>a\n"), [too_long]);
    }

    #[test]
    fn what_is_just_long_enough_is_taken() {
        let long = vec![b'x'; MAX_LINE];
        let by_line = [&long[..], b"\n"].concat();
        assert_eq!(frames(&by_line), [line(&by_line)]);
        let by_count = [b"65536 ", &long[..]].concat();
        assert_eq!(frames(&by_count), [line(&long)]);
    }

    #[test]
    fn a_limit_counts_from_the_next_frame_on_and_there_is_space_under_each() {
        let (mut decoder, too_long) = (Decoder::new(), Frame::Broken(Fault::TooLong));
        let text = vec![b'x'; 60_000];
        let by_line = [&text[..], b"\n"].concat();
        for (before, after) in [(64 * 1024, 480), (480, 64 * 1024), (64 * 1024, 480)] {
            decoder.limit(before);
            assert_eq!(feed(&mut decoder, &by_line[..300], 100), []);
            decoder.limit(after);
            let whole = if before > after { line(&by_line) } else { too_long.clone() };
            assert_eq!(feed(&mut decoder, &by_line[300..], 100), [whole]);
            let next = if before > after { too_long.clone() } else { line(&by_line) };
            assert_eq!(feed(&mut decoder, &by_line, 100), [next]);
        }
    }

    #[test]
    fn a_file_has_nothing_but_lines() {
        let mut decoder = Decoder::of_lines();
        let input = b"4 <1>a\n12";
        decoder.space()[..input.len()].copy_from_slice(input);
        decoder.filled(input.len());
        assert_eq!(decoder.next(), Some(line(b"4 <1>a\n")));
        assert_eq!(decoder.next(), None);
        assert_eq!(decoder.finish(), Some(line(b"12")));
    }

    #[test]
    fn what_an_error_cuts_off_is_no_line() {
        let mut decoder = Decoder::new();
        decoder.space()[..3].copy_from_slice(b"abc");
        decoder.filled(3);
        assert_eq!(decoder.next(), None);
        assert_eq!(decoder.abort(), Some(Frame::Broken(Fault::Truncated)));
        assert_eq!(decoder.abort(), None);
    }

    #[test]
    fn garbage_loses_no_byte_and_needs_no_memory() {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        for _ in 0..200 {
            let garbage: Vec<u8> = std::iter::repeat_with(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Mostly what the machine looks at.
                *b"\n 0123456789<x\xff".get((seed >> 59) as usize).unwrap_or(&b'\n')
            })
            .take(500)
            .collect();
            frames(&garbage);
        }
    }
}
