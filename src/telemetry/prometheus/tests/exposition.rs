//! A reader of both formats that takes nothing which is not quite right.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Format;

/// The families by their names.
pub(super) type Parsed = BTreeMap<String, ParsedFamily>;
pub(super) type Labels = BTreeMap<String, String>;
/// The name of a sample, its labels, its value.
pub(super) type Sample = (String, Labels, f64);

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ParsedFamily {
    pub(super) kind: String,
    pub(super) help: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) samples: BTreeMap<(String, Labels), f64>,
    /// As they come, for what their order says.
    in_order: Vec<Sample>,
}

/// # Errors
///
/// Says what is wrong, and in which line.
pub(super) fn parse(text: &str, format: Format) -> Result<Parsed, String> {
    let mut reader = Reader { format, families: Parsed::new(), current: None };
    let body = match format {
        Format::Prometheus => text,
        Format::OpenMetrics => text.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?,
    };
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    for line in body.split_terminator('\n') {
        reader.line(line).map_err(|wrong| format!("{wrong}: {line:?}"))?;
    }
    for (name, family) in &reader.families {
        check(name, family, format).map_err(|wrong| format!("{name}: {wrong}"))?;
    }
    all_names_differ(&reader.families, format)?;
    Ok(reader.families)
}

struct Reader {
    format: Format,
    families: Parsed,
    current: Option<String>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let Some(rest) = line.strip_prefix('#') else { return self.sample(line) };
        let mut words = rest.strip_prefix(' ').ok_or("no space behind #")?.splitn(3, ' ');
        let (what, name, text) = (words.next(), words.next(), words.next());
        match (what, name, text) {
            (Some("HELP"), Some(name), Some(text)) => {
                let help = unescaped(text, self.format == Format::OpenMetrics)?;
                let before = self.described(name)?.help.replace(help);
                before.map_or(Ok(()), |_| Err("HELP twice".into()))
            }
            (Some("TYPE"), Some(name), Some(kind @ ("counter" | "gauge" | "histogram"))) => {
                let before = std::mem::replace(&mut self.described(name)?.kind, kind.into());
                if before.is_empty() { Ok(()) } else { Err("TYPE twice".into()) }
            }
            (Some("UNIT"), Some(name), Some(unit)) if self.format == Format::OpenMetrics => {
                let before = self.described(name)?.unit.replace(unit.into());
                before.map_or(Ok(()), |_| Err("UNIT twice".into()))
            }
            (Some("HELP" | "TYPE" | "UNIT" | "EOF"), ..) => Err("a description that is none".into()),
            _ if self.format == Format::Prometheus => Ok(()),
            _ => Err("a comment".into()),
        }
    }

    /// What is said of a family comes in one piece, before its samples.
    fn described(&mut self, name: &str) -> Result<&mut ParsedFamily, String> {
        if self.current.as_deref() != Some(name) && self.families.contains_key(name) {
            return Err("a family in two pieces".into());
        }
        check_name(name)?;
        self.current = Some(name.into());
        let family = self.families.entry(name.into()).or_default();
        if family.samples.is_empty() { Ok(family) } else { Err("said behind a sample".into()) }
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let end = line.find(['{', ' ']).ok_or("no value")?;
        let (name, rest) = line.split_at(end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Labels::new(), rest),
        };
        let value = number(rest.strip_prefix(' ').ok_or("no space before the value")?, self.format)?;
        check_name(name)?;
        let current = self.current.as_ref().ok_or("a sample of no family")?;
        let family = self.families.get_mut(current).ok_or("a sample of no family")?;
        let suffix = name.strip_prefix(current.as_str()).ok_or("a sample of another family")?;
        if !suffixes(&family.kind, self.format).contains(&suffix) {
            return Err(format!("a {} has no {suffix:?}", family.kind));
        }
        family.in_order.push((name.into(), labels.clone(), value));
        let before = family.samples.insert((name.into(), labels), value);
        before.map_or(Ok(()), |_| Err("a series twice".into()))
    }
}

fn suffixes(kind: &str, format: Format) -> &'static [&'static str] {
    match (kind, format) {
        ("counter", Format::OpenMetrics) => &["_total"],
        ("counter" | "gauge", _) => &[""],
        ("histogram", _) => &["_bucket", "_sum", "_count"],
        _ => &[],
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    let fits = name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit());
    if fits { Ok(()) } else { Err(format!("no name: {name:?}")) }
}

/// Up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    loop {
        let (name, more) = rest.split_once("=\"").ok_or("a label without a value")?;
        check_name(name)?;
        if name.contains(':') || name.starts_with("__") {
            return Err(format!("no name of a label: {name:?}"));
        }
        let end = closing_quote(more).ok_or("a value without an end")?;
        let value = unescaped(&more[..end], true)?;
        if labels.insert(name.into(), value).is_some() {
            return Err(format!("label {name} twice"));
        }
        rest = &more[end + 1..];
        match rest.split_at_checked(1) {
            Some((",", more)) => rest = more,
            Some(("}", more)) => return Ok((labels, more)),
            _ => return Err("neither a comma nor a brace behind a label".into()),
        }
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        ends
    })
}

fn unescaped(text: &str, quotes: bool) -> Result<String, String> {
    let (mut out, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        out.push(match c {
            '"' if quotes => return Err("a quote that is not escaped".into()),
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                other => return Err(format!("an escape that is none: {other:?}")),
            },
            c => c,
        });
    }
    Ok(out)
}

fn number(text: &str, format: Format) -> Result<f64, String> {
    match text {
        // In OpenMetrics small letters are as good.
        "inf" if format == Format::OpenMetrics => return Ok(f64::INFINITY),
        "-inf" if format == Format::OpenMetrics => return Ok(f64::NEG_INFINITY),
        "NaN" => return Ok(f64::NAN),
        "+Inf" => return Ok(f64::INFINITY),
        "-Inf" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    let looks = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte));
    let found = text.parse::<f64>().ok().filter(|_| looks && text.contains(|c: char| c.is_ascii_digit()));
    found.ok_or_else(|| format!("no number: {text:?}"))
}

fn check(name: &str, family: &ParsedFamily, format: Format) -> Result<(), String> {
    if family.kind.is_empty() || family.samples.is_empty() {
        return Err("no type, or no sample".into());
    }
    if family.unit.as_ref().is_some_and(|unit| !name.ends_with(&format!("_{unit}"))) {
        return Err("its name does not end in its unit".into());
    }
    match family.kind.as_str() {
        "histogram" => check_histogram(name, family, format),
        "counter" if family.samples.values().any(|value| value.is_nan() || *value < 0.0) => {
            Err("below nothing".into())
        }
        "counter" if format == Format::Prometheus && !name.ends_with("_total") => Err("no total".into()),
        _ => Ok(()),
    }
}

/// Each series has rising bounds with counts that do not go down, ending in all.
fn check_histogram(name: &str, family: &ParsedFamily, format: Format) -> Result<(), String> {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (sample, labels, value) in family.in_order.iter().filter(|one| one.0.ends_with("_bucket")) {
        let mut labels = labels.clone();
        let le = labels.remove("le").ok_or_else(|| format!("{sample} without le"))?;
        if format == Format::OpenMetrics && le.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("le {le} looks like an integer"));
        }
        buckets.entry(labels).or_default().push((number(&le, format)?, *value));
    }
    for (labels, buckets) in &buckets {
        let rises = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        let get = |suffix: &str| family.samples.get(&(format!("{name}{suffix}"), labels.clone()));
        let ends =
            buckets.last().is_some_and(|last| last.0 == f64::INFINITY && get("_count") == Some(&last.1));
        if !rises || !ends || get("_sum").is_none() {
            return Err(format!("{labels:?}: {buckets:?} with {:?} and {:?}", get("_count"), get("_sum")));
        }
    }
    let others = family.samples.keys().filter(|key| !key.0.ends_with("_bucket")).count();
    if others == buckets.len() * 2 { Ok(()) } else { Err("a sum or a count without buckets".into()) }
}

/// What a family may have as a name of a sample no other may have as its own.
fn all_names_differ(families: &Parsed, format: Format) -> Result<(), String> {
    let mut taken = BTreeSet::new();
    for (name, family) in families {
        let suffixes = suffixes(&family.kind, format).iter().copied();
        let names: BTreeSet<_> = suffixes.chain([""]).map(|suffix| format!("{name}{suffix}")).collect();
        for name in names {
            if !taken.insert(name.clone()) {
                return Err(format!("{name} is of two families"));
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_not_quite_right_is_refused() {
    let right = "# HELP a A.\n# TYPE a gauge\na{b=\"c\"} 1\n";
    assert_eq!(parse(right, Format::Prometheus).map(|families| families.len()), Ok(1));
    let changes = [
        ("} 1\n", "} 1"),
        ("a{b", "b{b"),
        ("a{b", "a_sum{b"),
        ("gauge", "counter"),
        ("gauge", "histogram"),
        ("gauge", "thing"),
        ("# TYPE a gauge\n", ""),
        ("# TYPE a gauge\n", "# TYPE a gauge\n# TYPE a gauge\n"),
        ("# TYPE a gauge\n", "# TYPE a gauge\n# UNIT a seconds\n"),
        ("b=\"c\"", "b=\"c\",b=\"c\""),
        ("b=\"c\"", "b=\"c\","),
        ("b=\"c\"", "1=\"c\""),
        ("b=\"c\"", "__b=\"c\""),
        ("b=\"c\"", "b=\"\\c\""),
        ("b=\"c\"", ""),
        (" 1\n", " 1 \n"),
        (" 1\n", " one\n"),
        (" 1\n", " inf\n"),
        (" 1\n", "\n"),
        (" 1\n", " 1\n\n"),
        ("a{b=\"c\"} 1\n", "a{b=\"c\"} 1\na{b=\"c\"} 2\n"),
        ("a{b=\"c\"} 1\n", ""),
        ("A.", "\\A"),
    ];
    for (from, to) in changes {
        let wrong = right.replace(from, to);
        assert!(parse(&wrong, Format::Prometheus).is_err(), "{wrong}");
    }
    assert!(parse(right, Format::OpenMetrics).is_err(), "no end");
    assert!(parse(&format!("# a comment\n{right}# EOF\n"), Format::OpenMetrics).is_err());
    let bucket = "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 2\na_sum 2\na_count 2\n";
    assert!(parse(bucket, Format::Prometheus).is_ok());
    let changes = [("le=\"1\"} 2", "le=\"1\"} 3"), ("count 2", "count 3"), ("a_sum 2\n", ""), ("+Inf", "7")];
    for (from, to) in changes {
        assert!(parse(&bucket.replace(from, to), Format::Prometheus).is_err(), "{from} as {to}");
    }
    assert!(parse(&format!("{bucket}# EOF\n"), Format::OpenMetrics).is_err(), "le looks like an integer");
}
