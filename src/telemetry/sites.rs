//! Macros whose call sites keep their handles.

/// A [`Counter`](crate::telemetry::Counter) of the [process's telemetry](crate::telemetry::Telemetry::global), looked up at
/// the first use of this place in the program, and kept there.
///
/// Name, help and labels are literals, because the place keeps its handle. With labels that change keep a handle for each.
///
/// # Example
///
/// ```
/// use underpin::counter;
/// use underpin::telemetry::Telemetry;
///
/// for _ in 0..3 {
///     counter!("demo.lines").increment();
///     counter!("demo.bytes", "Bytes that were read.", Bytes, "from" => "disk").add(10);
/// }
/// let metrics = Telemetry::global().metrics("demo", &[]);
/// assert_eq!(metrics.counter("demo.bytes", &[("from", "disk")]), Some(30));
/// ```
#[macro_export]
macro_rules! counter {
    ($($what:tt)+) => { $crate::__meter!(counter, Counter, $($what)+) };
}

/// A [`Gauge`](crate::telemetry::Gauge) of the process's telemetry. As [`counter!`](crate::counter).
///
/// # Example
///
/// ```
/// underpin::gauge!("demo.connections", "Open connections.").add(1.0);
/// ```
#[macro_export]
macro_rules! gauge {
    ($($what:tt)+) => { $crate::__meter!(gauge, Gauge, $($what)+) };
}

/// A [`Histogram`](crate::telemetry::Histogram) of the process's telemetry. As [`counter!`](crate::counter).
///
/// # Example
///
/// ```
/// underpin::histogram!("demo.handling", "From read to stored.", Seconds).time(|| 6 * 7);
/// ```
#[macro_export]
macro_rules! histogram {
    ($($what:tt)+) => { $crate::__meter!(histogram, Histogram, $($what)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __meter {
    ($make:ident, $type:ident, $name:literal $(, $label:literal => $value:literal)* $(,)?) => {
        $crate::__meter!($make, $type, $name, "", Count $(, $label => $value)*)
    };
    ($make:ident, $type:ident, $name:literal, $help:literal $(, $label:literal => $value:literal)* $(,)?) => {
        $crate::__meter!($make, $type, $name, $help, Count $(, $label => $value)*)
    };
    ($make:ident, $type:ident, $name:literal, $help:literal, $unit:ident $(, $label:literal => $value:literal)* $(,)?) => {{
        static SITE: ::std::sync::OnceLock<$crate::telemetry::$type> = ::std::sync::OnceLock::new();
        SITE.get_or_init(|| {
            const WHAT: $crate::telemetry::Descriptor =
                $crate::telemetry::Descriptor::$make($name, $help).unit($crate::telemetry::Unit::$unit);
            $crate::telemetry::Telemetry::global().$make(&WHAT, &[$(($label, $value)),*])
        })
    }};
}
