//! The calling thread's shard.

use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

use super::shard::{Place, Shard};
use super::shards::Shards;

/// All threads of the process that count.
pub(crate) static SHARDS: LazyLock<Shards> = LazyLock::new(Shards::default);

crate::sync::thread_local! {
    static MINE: Mine = const { Mine(OnceCell::new()) };
}

struct Mine(OnceCell<Arc<Shard>>);

impl Mine {
    #[inline]
    fn shard(&self) -> &Shard {
        match self.0.get() {
            Some(shard) => shard,
            None => self.enrol(),
        }
    }

    #[cold]
    fn enrol(&self) -> &Shard {
        self.0.get_or_init(|| SHARDS.enrol())
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        self.0.get().into_iter().for_each(|shard| SHARDS.leave(shard));
    }
}

/// As [`Shards::take_counter`]. In a model threads have no cells of their own: the models have shards that are theirs.
pub(crate) fn take_counter() -> Option<(Place, u64)> {
    if cfg!(underpin_loom) { None } else { SHARDS.take_counter() }
}

/// As [`Shards::take_histogram`].
pub(crate) fn take_histogram() -> Option<usize> {
    if cfg!(underpin_loom) { None } else { SHARDS.take_histogram() }
}

/// Adds to the calling thread's cell. `false`: it has none any more, it is about to end.
#[inline]
pub(crate) fn add(place: Place, n: u64) -> bool {
    MINE.try_with(|mine| mine.shard().add(place, n)).is_ok()
}

/// Records into the calling thread's buckets, or, where it has none any more, into those of who is gone.
#[inline]
pub(crate) fn record(histogram: usize, value: u64) {
    if MINE.try_with(|mine| mine.shard().record(histogram, value)).is_err() {
        SHARDS.record_late(histogram, value);
    }
}
