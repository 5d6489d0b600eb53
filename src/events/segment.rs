//! Events that nothing changes any more.

use std::sync::Arc;

use super::entry::Chunk;

/// How many events a segment has, or somewhat more: it ends with a chunk. Fewer, where they are large.
pub(crate) const SEGMENT: u64 = 1024;

/// Some thousand events that follow one another, sealed. They go as a whole, when the last is no longer
/// wanted.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) chunks: Vec<Arc<Chunk>>,
    /// The earliest and the latest moment at which one of them happened: nanoseconds since 1970.
    pub(crate) wall: (u64, u64),
}

impl Segment {
    /// Of one chunk at least.
    pub(crate) fn of(chunks: Vec<Arc<Chunk>>) -> Self {
        let walls = chunks.iter().flat_map(|chunk| chunk.stubs.iter().map(|stub| stub.wall));
        let wall = walls.fold((u64::MAX, 0), |(min, max), wall| (min.min(wall), max.max(wall)));
        Self { chunks, wall }
    }

    /// The position of the first.
    pub(crate) fn first(&self) -> u64 {
        self.chunks[0].first
    }

    /// The position after the last.
    pub(crate) fn end(&self) -> u64 {
        self.chunks[self.chunks.len() - 1].end()
    }

    /// The number after the last.
    pub(crate) fn end_id(&self) -> u64 {
        self.chunks[self.chunks.len() - 1].end_id()
    }

    /// The chunk of a position that is in it.
    pub(crate) fn chunk_at(&self, position: u64) -> &Arc<Chunk> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= position);
        &self.chunks[after - 1]
    }
}
