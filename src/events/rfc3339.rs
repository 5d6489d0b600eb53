//! Moments as people write them.

use std::time::{Duration, SystemTime};

/// What is expected of a text.
pub(crate) const EXPECTED: &str = "a time as 2026-01-01T00:00:00Z or 2026-01-01T02:00:00.123456789+02:00";

const DAY: i64 = 24 * 60 * 60;

/// The moment that a text as RFC 3339 has it stands for: with capitals, at most nine digits behind the
/// point, and without leap seconds, which the system does not count either.
pub(crate) fn parsed(text: &str) -> Option<SystemTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let (clock, rest) = rest.strip_prefix('T')?.split_at_checked(8)?;
    let (nanoseconds, zone) = fraction(rest)?;
    let seconds = days(date)? * DAY + seconds(clock)? - offset(zone)?;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = match seconds < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(whole),
        false => SystemTime::UNIX_EPOCH.checked_add(whole),
    };
    time?.checked_add(Duration::from_nanos(nanoseconds))
}

/// Numbers of so many digits, with this between them.
fn numbers<const N: usize>(text: &str, between: char, digits: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = digits_only(part)?.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn digits_only(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then_some(text)
}

/// Since 1970.
fn days(date: &str) -> Option<i64> {
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    // A year from March to February ends with the leap day, if it has one; from the 1st of March of year 0
    // it is 719,468 days to 1970.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before = year * 365 + leaps + (153 * month + 2) / 5;
    (1..=last).contains(&day).then_some(before + day - 1 - 719_468)
}

fn seconds(clock: &str) -> Option<i64> {
    let [hours, minutes, seconds] = numbers(clock, ':', [2, 2, 2])?;
    (hours < 24 && minutes < 60 && seconds < 60).then_some((hours * 60 + minutes) * 60 + seconds)
}

/// Nanoseconds, and what follows.
fn fraction(text: &str) -> Option<(u64, &str)> {
    let Some(text) = text.strip_prefix('.') else { return Some((0, text)) };
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, rest) = text.split_at(end);
    let missing = 9_u32.checked_sub(u32::try_from(end).ok()?).filter(|_| end > 0)?;
    Some((digits.parse::<u64>().ok()? * 10_u64.pow(missing), rest))
}

/// Seconds east of Greenwich.
fn offset(zone: &str) -> Option<i64> {
    let (sign, clock) = match zone.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    let [hours, minutes] = numbers(clock, ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60)
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn since_1970(text: &str) -> Option<i128> {
        let time = parsed(text)?;
        Some(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        })
    }

    #[test]
    fn times_are_read() {
        let second = 1_000_000_000;
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.5Z", 500_000_000),
            ("2026-01-01T00:00:00Z", 1_767_225_600 * second),
            ("2026-01-01T02:00:00.000000001+02:00", 1_767_225_600 * second + 1),
            ("2025-12-31T23:30:00-00:30", 1_767_225_600 * second),
            ("2000-02-29T12:00:00Z", 951_825_600 * second),
            ("1969-12-31T23:59:59.25Z", -750_000_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200 * second),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_800 * second - 1),
        ];
        for (text, expected) in cases {
            assert_eq!(since_1970(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_quite_one_is_refused() {
        let wrong =
            "2026-01-01 2026-01-01T00:00:00 2026-01-01t00:00:00Z 2026-01-01T00:00:00z 2026-1-01T00:00:00Z
            2026-01-01T00:00:60Z 2026-01-01T24:00:00Z 2026-01-01T00:60:00Z 2026-00-01T00:00:00Z
            2026-13-01T00:00:00Z 2026-02-29T00:00:00Z 1900-02-29T00:00:00Z 2026-04-31T00:00:00Z
            2026-01-00T00:00:00Z 2026-01-01T00:00:00.Z 2026-01-01T00:00:00.1234567890Z +026-01-01T00:00:00Z
            2026-01-01T00:00:00+2:00 2026-01-01T00:00:00+24:00 2026-01-01T00:00:00+02:60
            2026-01-01T00:00:00+0200 2026-01-01T00:00:00ZZ 2026-01-01T00:00:00+02:00Z 2026-01-01T00:00:0éZ
            2026-01-0éT00:00:00Z 2026-01-01T00:00:00.5";
        for text in wrong.split_whitespace() {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn day_follows_day_for_ten_thousand_years() {
        let mut expected = days("0000-01-01").expect("it is a day");
        for year in 0..10_000 {
            for (month, day) in (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day))) {
                if let Some(found) = days(&format!("{year:04}-{month:02}-{day:02}")) {
                    assert_eq!(found, expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
        assert_eq!(expected - days("9999-12-31").expect("it is a day"), 1);
    }

    proptest! {
        #[test]
        fn garbage_makes_no_trouble(text in "[0-9TZ:.+é-]{0,40}|.*") {
            let _ = parsed(&text);
        }
    }
}
