//! What the texts of Linux's `/proc` say.
//!
//! Their formats are those of the manual page `proc(5)`.

use std::fmt;

/// Ticks to a second, in all that the kernel tells programs. `USER_HZ` of the kernel's `asm-generic/param.h`: 100
/// on every machine that Rust runs on, whatever the kernel itself ticks at.
pub(crate) const TICKS_PER_SECOND: u64 = 100;
/// Nanoseconds to a tick.
const TICK_NANOS: u64 = 1_000_000_000 / TICKS_PER_SECOND;
/// What was found is shown up to so many bytes.
const SHOWN_BYTES: usize = 40;

/// Why a text does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {field}: expected {expected}, found {}", Found(found))]
pub(crate) struct ProcTextError {
    /// The file, as below `/proc`.
    pub(crate) file: &'static str,
    /// Which field.
    pub(crate) field: &'static str,
    /// What should be there.
    pub(crate) expected: &'static str,
    /// What is there, cut after [`SHOWN_BYTES`]; `None` when there is nothing.
    pub(crate) found: Option<String>,
}

struct Found<'a>(&'a Option<String>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(text) => write!(f, "{text:?}"),
            None => f.write_str("nothing"),
        }
    }
}

/// A field of a file, and what is expected there.
#[derive(Clone, Copy)]
struct Field {
    file: &'static str,
    name: &'static str,
    expected: &'static str,
}

impl Field {
    const fn number(file: &'static str, name: &'static str) -> Self {
        Self { file, name, expected: "a whole number" }
    }

    fn fault(self, found: Option<&str>) -> ProcTextError {
        let found = found.map(|text| text[..text.floor_char_boundary(SHOWN_BYTES)].to_owned());
        ProcTextError { file: self.file, field: self.name, expected: self.expected, found }
    }

    /// Digits alone, that fit.
    fn read(self, found: Option<&str>) -> Result<u64, ProcTextError> {
        let digits = found.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|text| text.parse().ok()).ok_or_else(|| self.fault(found))
    }
}

/// What `/proc/self/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProcStat {
    /// Time on a processor in the program's own code, over all threads, in nanoseconds.
    pub(crate) user_nanos: u64,
    /// Time on a processor in the kernel, in nanoseconds.
    pub(crate) system_nanos: u64,
    /// Threads that exist.
    pub(crate) threads: u64,
    /// From the start of the machine to that of the process, in ticks.
    pub(crate) started_ticks: u64,
    /// Addresses in use, in bytes.
    pub(crate) virtual_bytes: u64,
}

impl ProcStat {
    /// Reads one. The name of the command, which may hold anything, ends at the last `)`.
    ///
    /// # Errors
    ///
    /// The first field that is wanted and wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, ProcTextError> {
        const FILE: &str = "self/stat";
        let command = Field { file: FILE, name: "field 2, comm", expected: "a name in parentheses" };
        let (_, rest) = text.rsplit_once(')').ok_or_else(|| command.fault(None))?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Behind the name stands field 3.
        let number = |at: usize, name| Field::number(FILE, name).read(fields.get(at - 3).copied());
        Ok(Self {
            user_nanos: number(14, "field 14, utime")?.saturating_mul(TICK_NANOS),
            system_nanos: number(15, "field 15, stime")?.saturating_mul(TICK_NANOS),
            threads: number(20, "field 20, num_threads")?,
            started_ticks: number(22, "field 22, starttime")?,
            virtual_bytes: number(23, "field 23, vsize")?,
        })
    }
}

/// Memory that is in use and not swapped out, in bytes: `VmRSS` of `/proc/self/status`.
///
/// `statm` has it too, but in pages, whose size only a call of the system tells.
///
/// # Errors
///
/// When it is not there, or not in kB.
pub(crate) fn resident_bytes(status: &str) -> Result<u64, ProcTextError> {
    let field = Field { file: "self/status", name: "VmRSS", expected: "a whole number of kB" };
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).map(str::trim);
    let kilobytes = value.and_then(|value| value.strip_suffix("kB")).map(str::trim_end);
    let kilobytes = field.read(kilobytes).map_err(|_| field.fault(value))?;
    Ok(kilobytes.saturating_mul(1024))
}

/// When the machine started, in seconds since the epoch: `btime` of `/proc/stat`.
///
/// # Errors
///
/// When it is not there.
pub(crate) fn boot_seconds(stat: &str) -> Result<u64, ProcTextError> {
    let value = stat.lines().find_map(|line| line.strip_prefix("btime ")).map(str::trim);
    Field::number("stat", "btime").read(value)
}

/// For how long the machine has been up, in hundredths of a second: the first word of `/proc/uptime`.
///
/// # Errors
///
/// When it is no such number.
pub(crate) fn up_ticks(uptime: &str) -> Result<u64, ProcTextError> {
    let field = Field { file: "uptime", name: "word 1", expected: "seconds with two decimals" };
    let word = uptime.split_ascii_whitespace().next();
    let parts = word.and_then(|word| word.split_once('.')).filter(|(_, parts)| parts.len() == 2);
    let Some((seconds, hundredths)) = parts else { return Err(field.fault(word)) };
    let (seconds, hundredths) = (field.read(Some(seconds))?, field.read(Some(hundredths))?);
    Ok(seconds.saturating_mul(TICKS_PER_SECOND).saturating_add(hundredths))
}

/// How many files may be open at once: the soft limit of `Max open files` in `/proc/self/limits`. `None` where
/// there is no limit.
///
/// # Errors
///
/// When it is not there.
pub(crate) fn most_open_files(limits: &str) -> Result<Option<u64>, ProcTextError> {
    let field =
        Field { file: "self/limits", name: "Max open files", expected: "a whole number, or `unlimited`" };
    let line = limits.lines().find_map(|line| line.strip_prefix(field.name));
    let soft = line.and_then(|line| line.split_ascii_whitespace().next());
    if soft == Some("unlimited") { Ok(None) } else { field.read(soft).map(Some) }
}

#[cfg(all(test, not(underpin_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stat(command: &str) -> String {
        format!(
            "7670 ({command}) R 7654 7654 32132 0 -1 4194304 102 0 0 0 12 34 0 0 20 0 5 0 2402182 3133440 412 184 1\n"
        )
    }

    fn told<T: fmt::Debug>(result: Result<T, ProcTextError>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn a_command_may_be_called_whatever_it_likes() {
        let read = ProcStat {
            user_nanos: 120_000_000,
            system_nanos: 340_000_000,
            threads: 5,
            started_ticks: 2_402_182,
            virtual_bytes: 3_133_440,
        };
        for command in ["cat", "a b", ")", "((", "a) R 1 2 3 (b", "", "é) S\n7 (x"] {
            assert_eq!(ProcStat::parse(&stat(command)), Ok(read), "{command}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_field_and_what_was_expected() {
        let text = "7 (a) R 1 1 1 0 -1 0 0 0 0 0 x1 34";
        assert_eq!(
            told(ProcStat::parse(text)),
            r#"self/stat: field 14, utime: expected a whole number, found "x1""#
        );
        let text = "7 (a) R 1 1 1 0 -1 0 0 0 0 0 12 34";
        assert!(told(ProcStat::parse(text)).ends_with("num_threads: expected a whole number, found nothing"));
        assert!(told(ProcStat::parse("7 a R")).starts_with("self/stat: field 2, comm: expected a name in"));
        assert_eq!(told(boot_seconds("cpu 1\n")), "stat: btime: expected a whole number, found nothing");
        let long = format!("btime {}", "é".repeat(99));
        assert_eq!(boot_seconds(&long).expect_err("no number").found.map(|found| found.len()), Some(40));
    }

    #[test]
    fn the_numbers_of_the_other_files_are_read() {
        let status = "Name:\tVmRSS: 1 kB\nVmHWM:\t    2100 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n";
        assert_eq!(resident_bytes(status), Ok(2_097_152));
        assert_eq!(
            boot_seconds("cpu  1 2\nintr 5 0\nctxt 9\nbtime 1790000000\nprocesses 3\n"),
            Ok(1_790_000_000)
        );
        assert_eq!(up_ticks("24021.82 90000.10\n"), Ok(2_402_182));
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             1000                 1000                 processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(most_open_files(limits), Ok(Some(1024)));
        assert_eq!(most_open_files("Max open files    unlimited    unlimited    files\n"), Ok(None));
    }

    #[test]
    fn a_number_that_is_not_quite_one_is_refused() {
        for status in [
            "",
            "VmRSS:",
            "VmRSS: kB",
            "VmRSS: -1 kB",
            "VmRSS: 1 MB",
            "VmRSS: 12",
            "VmRSS: +1 kB",
            "xVmRSS: 1 kB",
        ] {
            assert!(told(resident_bytes(status)).starts_with("self/status: VmRSS: expected"), "{status}");
        }
        for uptime in ["", "12", "12.5", "12.345", "-1.00", "1.0x", ".12x", "1e3.00"] {
            assert!(told(up_ticks(uptime)).starts_with("uptime: word 1: expected"), "{uptime}");
        }
        for limits in ["", "Max open files", "Max open files -1 2 files", "max open files 1 2 files"] {
            assert!(told(most_open_files(limits)).starts_with("self/limits: Max open files"), "{limits}");
        }
        assert!(boot_seconds("btime 18446744073709551616").is_err(), "it does not fit");
    }

    #[test]
    fn what_does_not_fit_any_more_is_the_most() {
        let text = format!("1 (a) R 1 1 1 0 -1 0 0 0 0 0 {0} {0} 0 0 0 0 1 0 1 1", u64::MAX);
        assert_eq!(ProcStat::parse(&text).map(|stat| stat.user_nanos), Ok(u64::MAX));
        assert_eq!(resident_bytes(&format!("VmRSS: {} kB", u64::MAX)), Ok(u64::MAX));
        assert_eq!(up_ticks(&format!("{}.00", u64::MAX)), Ok(u64::MAX));
    }

    proptest! {
        #[test]
        fn numbers_come_back_as_they_were_written(fields in prop::collection::vec(0..1_u64 << 40, 49)) {
            let text: Vec<_> = fields.iter().map(u64::to_string).collect();
            let stat = ProcStat::parse(&format!("1 (a b) S {}", text.join(" "))).expect("it is one");
            // Field 4 is the first of them.
            prop_assert_eq!((stat.user_nanos, stat.system_nanos), (fields[10] * 10_000_000, fields[11] * 10_000_000));
            prop_assert_eq!((stat.threads, stat.started_ticks, stat.virtual_bytes), (fields[16], fields[18], fields[19]));
        }

        #[test]
        fn garbage_makes_no_trouble(text in r"(Max open files|VmRSS:|btime |[0-9]+|[().é kB\n-]){0,60}|(?s).*") {
            let _ = (ProcStat::parse(&text), resident_bytes(&text), boot_seconds(&text));
            let _ = (up_ticks(&text), most_open_files(&text));
        }
    }
}
