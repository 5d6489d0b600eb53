//! The books on limits: by when an incarnation is to be ready, or gone, and what is said when it is
//! not.

use super::*;

impl Books {
    /// A limit of one that is waited for has passed.
    pub(super) fn overdue(&mut self, now: Instant, key: Key, epoch: Epoch, why: Hung, after: Duration) {
        let limit = self.limit(key, why);
        let book = self.child(key);
        assert_eq!((book.live, book.rules.on_hang), (Some(epoch), OnHang::Wait));
        assert!(limit.is_some_and(|limit| limit <= now), "{key} was reported too early");
        assert_eq!(book.waited_since(why), Some(now - after));
        assert!(!std::mem::replace(&mut book.overdue[why as usize], true), "{key} was reported twice");
    }

    /// By when an incarnation is to be ready, or gone; None where there is no such limit.
    fn limit(&self, key: Key, why: Hung) -> Option<Instant> {
        let book = &self.children[&key];
        if why == Hung::Init {
            return book.init_until.filter(|_| book.live.is_some() && !book.ready && !book.asked);
        }
        if book.handing {
            return book.hand_until;
        }
        let shared = self.down_since.zip(self.rules.dynamic).map(|(since, dynamic)| since + dynamic.grace);
        let own = book.own_until.filter(|_| !book.shares_grace);
        [shared, own].into_iter().flatten().min().filter(|_| book.live.is_some() && book.asked)
    }

    /// One that is waited for is reported as soon as a limit has passed. One that was launched or
    /// asked in this very step will be in the next.
    pub(super) fn is_reported(&self, key: Key) {
        let book = &self.children[&key];
        for why in [Hung::Init, Hung::Grace].into_iter().filter(|_| book.rules.on_hang == OnHang::Wait) {
            let due = self.limit(key, why) <= self.now && book.waited_since(why) < self.now;
            assert!(!due || self.limit(key, why).is_none() || book.overdue[why as usize], "{key}: {why:?}");
        }
    }
}
