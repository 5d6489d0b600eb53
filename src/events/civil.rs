//! Times as people write them: `2026-01-31T09:05:00.000000001Z`.

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 24 * 60 * 60;
/// From the first of March of year 0, with which a cycle of 400 years begins, to 1970.
const DAYS_TO_1970: u64 = 719_468;
const DAYS_OF_400_YEARS: u64 = 146_097;

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Date {
    year: u64,
    month: u64,
    day: u64,
}

impl Date {
    /// So many days after the first of January 1970.
    ///
    /// This is Howard Hinnant's `civil_from_days`
    /// (<https://howardhinnant.github.io/date_algorithms.html>), without years before 0: the year begins in
    /// March, so that the leap day is its last.
    const fn from_days(days: u64) -> Self {
        let days = days + DAYS_TO_1970;
        let (cycle, of_cycle) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
        let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
        let of_year = of_cycle - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153; // 0 is March
        let day = of_year - (153 * month + 2) / 5 + 1;
        let is_next_year = month >= 10;
        let month = if is_next_year { month - 9 } else { month + 3 };
        Self { year: 400 * cycle + year + is_next_year as u64, month, day }
    }
}

/// Writes nanoseconds since 1970 as RFC 3339 has it: UTC, with nine places.
pub(crate) fn write_time(into: &mut Vec<u8>, since_1970: u64) {
    let (seconds, nanos) = (since_1970 / SECOND, since_1970 % SECOND);
    let (date, of_day) = (Date::from_days(seconds / DAY), seconds % DAY);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let fields = [
        (0..4, date.year),
        (5..7, date.month),
        (8..10, date.day),
        (11..13, of_day / 3600),
        (14..16, of_day / 60 % 60),
        (17..19, of_day % 60),
        (20..29, nanos),
    ];
    fields.into_iter().for_each(|(range, number)| digits(&mut text[range], number));
    into.extend_from_slice(&text);
}

fn digits(into: &mut [u8], mut number: u64) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use super::super::moment::since_1970 as since_1970_of;
    use super::super::rfc3339;
    use super::*;
    use proptest::prelude::*;

    fn written(since_1970: u64) -> String {
        let mut text = Vec::new();
        write_time(&mut text, since_1970);
        String::from_utf8(text).expect("it is text")
    }

    /// As `date -u -d @SECONDS` has them.
    const TABLE: [(u64, &str); 14] = [
        (0, "1970-01-01T00:00:00"),
        (5_097_599, "1970-02-28T23:59:59"),
        (5_097_600, "1970-03-01T00:00:00"),
        (68_169_600, "1972-02-29T00:00:00"),
        (94_694_399, "1972-12-31T23:59:59"),
        (951_782_400, "2000-02-29T00:00:00"),
        (951_868_800, "2000-03-01T00:00:00"),
        (978_220_800, "2000-12-31T00:00:00"),
        (1_709_210_096, "2024-02-29T12:34:56"),
        (1_767_225_600, "2026-01-01T00:00:00"),
        (4_107_542_399, "2100-02-28T23:59:59"),
        (4_107_542_400, "2100-03-01T00:00:00"),
        (13_574_563_200, "2400-02-29T00:00:00"),
        (18_446_744_073, "2554-07-21T23:34:33"),
    ];

    #[test]
    fn it_is_right_on_days_that_are_often_wrong() {
        for (seconds, text) in TABLE {
            assert_eq!(written(seconds * SECOND), format!("{text}.000000000Z"));
        }
    }

    #[test]
    fn the_last_time_that_can_be_counted_is_written() {
        assert_eq!(written(u64::MAX), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn each_day_to_2554_follows_the_one_before() {
        let (mut date, is_leap) = (Date { year: 1970, month: 1, day: 1 }, |year: u64| {
            year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
        });
        for days in 0..=u64::MAX / SECOND / DAY {
            assert_eq!(Date::from_days(days), date);
            let length = [31, 28 + u64::from(is_leap(date.year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            date.day += 1;
            if date.day > length[date.month as usize - 1] {
                (date.day, date.month) = (1, date.month + 1);
            }
            if date.month > 12 {
                (date.month, date.year) = (1, date.year + 1);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(since_1970: u64) {
            let read = rfc3339::parsed(&written(since_1970)).map(since_1970_of);
            prop_assert_eq!(read, Some(since_1970));
        }

        #[test]
        fn later_times_are_greater_texts(a: u64, b: u64) {
            prop_assert_eq!(a.cmp(&b), written(a).cmp(&written(b)));
        }
    }
}
