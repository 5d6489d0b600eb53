//! Numbers as other programs read them.

use std::fmt;

use super::unit::Unit;

/// Writes the integers of a counter or a histogram in the unit that they are exported in, to the last digit:
/// 1,500,000,000 nanoseconds are `1.5`.
pub(crate) fn write_exact(out: &mut impl fmt::Write, parts: u128, unit: Unit) -> fmt::Result {
    // A power of ten, from 1 to 10^9.
    let divisor = unit.divisor() as u64;
    let (whole, rest) = match u64::try_from(parts) {
        Ok(parts) => (u128::from(parts / divisor), parts % divisor),
        Err(_) => (parts / u128::from(divisor), (parts % u128::from(divisor)) as u64),
    };
    match u64::try_from(whole) {
        Ok(whole) => write!(out, "{whole}")?,
        Err(_) => write!(out, "{whole}")?,
    }
    if rest > 0 { write_fraction(out, rest, divisor.ilog10() as usize) } else { Ok(()) }
}

fn write_fraction(out: &mut impl fmt::Write, mut rest: u64, mut digits: usize) -> fmt::Result {
    while rest.is_multiple_of(10) && digits > 1 {
        (rest, digits) = (rest / 10, digits - 1);
    }
    write!(out, ".{rest:0digits$}")
}

/// Writes a number as Go does, with the fewest digits that are read as the same one: `0.25`, `1e-06`, `1.5e+09`,
/// `NaN`, `+Inf`, `-Inf`. Go writes an exponent below 0.0001 and from a million on; the tools that read expositions are
/// written in Go, and compare bounds as text.
pub(crate) fn write_float(out: &mut impl fmt::Write, value: f64) -> fmt::Result {
    if !value.is_finite() {
        return out.write_str(if value.is_nan() { "NaN" } else { infinity(value) });
    }
    let size = value.abs();
    if size < 1e6 && size.fract() == 0.0 && value.is_sign_positive() {
        return write!(out, "{}", value as u32);
    }
    if value == 0.0 || (1e-4..1e6).contains(&size) {
        return write!(out, "{value}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    write!(out, "{digits}e{sign}{exponent:0>2}")
}

fn infinity(value: f64) -> &'static str {
    if value > 0.0 { "+Inf" } else { "-Inf" }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(parts: u128, unit: Unit) -> String {
        let mut text = String::new();
        write_exact(&mut text, parts, unit).expect("a text takes all");
        text
    }

    fn float(value: f64) -> String {
        let mut text = String::new();
        write_float(&mut text, value).expect("a text takes all");
        text
    }

    #[test]
    fn parts_are_written_to_the_last_digit() {
        let most = u128::MAX.to_string();
        assert_eq!((exact(0, Unit::Seconds), exact(7, Unit::Count)), ("0".into(), "7".into()));
        assert_eq!(exact(1_500_000_000, Unit::Seconds), "1.5");
        assert_eq!(exact(1, Unit::Seconds), "0.000000001");
        assert_eq!(exact(10, Unit::Seconds), "0.00000001");
        assert_eq!(exact(u64::MAX.into(), Unit::Seconds), "18446744073.709551615");
        assert_eq!(exact(1_000_000, Unit::Ratio), "1");
        assert_eq!(exact(250_000, Unit::Ratio), "0.25");
        assert_eq!(exact(u128::MAX, Unit::Bytes), most);
        assert_eq!(exact(u128::MAX, Unit::Seconds), format!("{}.{}", &most[..30], &most[30..]));
    }

    #[test]
    fn numbers_are_written_as_go_does() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (0.25, "0.25"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000025, "2.5e-05"),
            (1e-10, "1e-10"),
            (1e-100, "1e-100"),
            (999_999.0, "999999"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (1_048_576.0, "1.048576e+06"),
            (-1.5e9, "-1.5e+09"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (value, expected) in cases {
            assert_eq!(float(value), expected);
        }
    }

    proptest! {
        #[test]
        fn a_number_is_read_back_as_the_same(value in any::<f64>().prop_filter("none", |value| !value.is_nan())) {
            prop_assert_eq!(float(value).parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
        }

        #[test]
        fn parts_are_read_back(parts: u64) {
            let text = exact(parts.into(), Unit::Seconds);
            let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
            let read: u64 = format!("{whole}{rest:0<9}").parse().expect("it is digits");
            prop_assert_eq!(read, parts);
        }
    }
}
