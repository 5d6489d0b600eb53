//! Bytes as text: RFC 4648, section 4.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes as base64, filled up with `=`.
pub(crate) fn write(into: &mut Vec<u8>, bytes: &[u8]) {
    into.reserve(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        let digit = |at: usize| ALPHABET[bits >> (18 - 6 * at) & 63];
        let four = [0, 1, 2, 3].map(|at| if at <= three.len() { digit(at) } else { b'=' });
        into.extend_from_slice(&four);
    }
}

/// Reads what [`write`] writes, and nothing else: each sequence of bytes has one text.
pub(crate) fn parse(text: &str) -> Option<Vec<u8>> {
    let (fours, rest) = text.as_bytes().as_chunks::<4>();
    let mut bytes = Vec::with_capacity(fours.len() * 3);
    let is_last = |at: usize| at + 1 == fours.len();
    fours.iter().enumerate().try_for_each(|(at, four)| parse_four(&mut bytes, four, is_last(at)))?;
    rest.is_empty().then_some(bytes)
}

fn parse_four(into: &mut Vec<u8>, four: &[u8; 4], is_last: bool) -> Option<()> {
    let missing =
        if is_last { four.iter().rev().take(2).take_while(|digit| **digit == b'=').count() } else { 0 };
    let bits = four[..4 - missing].iter().try_fold(0, |bits, digit| Some(bits << 6 | value(*digit)?))?;
    let bits: u32 = bits << (6 * missing);
    let unused = bits & ((1 << (8 * missing)) - 1);
    into.extend_from_slice(&bits.to_be_bytes()[1..4 - missing]);
    (unused == 0).then_some(())
}

fn value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(bytes: &[u8]) -> String {
        let mut text = Vec::new();
        write(&mut text, bytes);
        String::from_utf8(text).expect("it is text")
    }

    /// RFC 4648, section 10, and the ends of the alphabet.
    const TABLE: [(&[u8], &str); 9] = [
        (b"", ""),
        (b"f", "Zg=="),
        (b"fo", "Zm8="),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg=="),
        (b"fooba", "Zm9vYmE="),
        (b"foobar", "Zm9vYmFy"),
        (&[0, 0, 0], "AAAA"),
        (&[0xFB, 0xFF, 0xBF], "+/+/"),
    ];

    #[test]
    fn it_is_as_the_standard_has_it() {
        for (bytes, text) in TABLE {
            assert_eq!((written(bytes), parse(text)), (text.to_owned(), Some(bytes.to_owned())));
        }
    }

    #[test]
    fn what_is_not_written_so_is_not_read() {
        let wrong = [
            "A", "AA", "AAA", "A===", "====", "=AAA", "AA=A", "AA==AAAA", "Zh==", "Zm9=", "AA-A", "AAA_",
            "AA\nA", " AAA", "äAA",
        ];
        wrong.into_iter().for_each(|text| assert_eq!(parse(text), None, "{text}"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(parse(&written(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_read_is_written_so(text in "([A-Da-d01+/]{4}){0,2}[A-Da-d01+/]{2,4}={0,2}") {
            if let Some(bytes) = parse(&text) {
                prop_assert_eq!(written(&bytes), text);
            }
        }
    }
}
