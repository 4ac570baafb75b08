//! Versions of views that readers were given. The kernel keeps the last few of each view; while one client pages
//! through a version and another writes thousands, it is found here. A version costs what it differs in from those
//! around it.
//!
//! Bounded by number and by the time since it was last used; lost at a restart.

use actum_kernel::state::{SnapshotId, Version};
use actum_model::graph::ViewName;
use actum_model::limits::{GRAPH_PIN_AGE_MS_MAX, GRAPH_PINS_MAX};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

type Key = (ViewName, SnapshotId);

/// See the head of the file.
#[derive(Default)]
pub(crate) struct Pins {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    versions: BTreeMap<Key, Pin>,
    /// Keys by their last use.
    used: BTreeMap<u64, Key>,
    uses: u64,
}

struct Pin {
    version: Arc<Version>,
    use_no: u64,
    at: Instant,
}

impl Pins {
    /// Keeps a version that a reader is given.
    pub(crate) fn keep(&self, id: SnapshotId, version: &Arc<Version>) {
        self.keep_at(id, version, Instant::now());
    }

    fn keep_at(&self, id: SnapshotId, version: &Arc<Version>, now: Instant) {
        let mut table = self.table();
        table.forget_old(now);
        let key = (version.name, id);
        table.remove(&key);
        table.insert(key, Arc::clone(version), now);
        while table.versions.len() > GRAPH_PINS_MAX {
            table.forget_first();
        }
    }

    /// A version that was kept, which counts as a use of it.
    pub(crate) fn get(&self, name: ViewName, id: SnapshotId) -> Option<Arc<Version>> {
        self.get_at(name, id, Instant::now())
    }

    fn get_at(&self, name: ViewName, id: SnapshotId, now: Instant) -> Option<Arc<Version>> {
        let mut table = self.table();
        table.forget_old(now);
        let version = table.remove(&(name, id))?;
        table.insert((name, id), Arc::clone(&version), now);
        Some(version)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn insert(&mut self, key: Key, version: Arc<Version>, at: Instant) {
        self.uses += 1;
        let use_no = self.uses;
        self.used.insert(use_no, key);
        self.versions.insert(key, Pin { version, use_no, at });
    }

    fn remove(&mut self, key: &Key) -> Option<Arc<Version>> {
        let pin = self.versions.remove(key)?;
        self.used.remove(&pin.use_no);
        Some(pin.version)
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.used.pop_first() {
            self.versions.remove(&key);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        let age_max = Duration::from_millis(GRAPH_PIN_AGE_MS_MAX);
        while let Some((_, key)) = self.used.first_key_value() {
            let old = self
                .versions
                .get(key)
                .is_none_or(|pin| now.saturating_duration_since(pin.at) > age_max);
            if !old {
                return;
            }
            self.forget_first();
        }
    }
}

/// Forgets what nobody uses any more, also when nobody asks; ends with the table.
pub(crate) async fn sweep(pins: Weak<Pins>) {
    let pause = Duration::from_millis(GRAPH_PIN_AGE_MS_MAX / 8);
    loop {
        tokio::time::sleep(pause).await;
        let Some(pins) = pins.upgrade() else { return };
        pins.table().forget_old(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actum_graph::View;

    fn version(n: u64) -> Arc<Version> {
        let view = View::default();
        Arc::new(Version {
            name: ViewName::System,
            n,
            digest: view.digest(),
            view,
        })
    }

    #[test]
    fn the_one_unused_for_longest_goes_first() {
        let pins = Pins::default();
        let now = Instant::now();
        let all: Vec<_> = (0..GRAPH_PINS_MAX as u64).map(version).collect();
        for version in &all {
            pins.keep_at(version.snapshot(), version, now);
        }
        assert!(pins.get_at(ViewName::System, all[0].snapshot(), now).is_some());
        let further = version(u64::MAX);
        pins.keep_at(further.snapshot(), &further, now);
        assert!(pins.get_at(ViewName::System, all[0].snapshot(), now).is_some());
        assert!(pins.get_at(ViewName::System, all[1].snapshot(), now).is_none());
        assert!(pins.get_at(ViewName::Sws(0), all[2].snapshot(), now).is_none());
    }

    #[test]
    fn a_use_keeps_it_and_time_without_one_does_not() {
        let pins = Pins::default();
        let (begun, one) = (Instant::now(), version(1));
        let most = Duration::from_millis(GRAPH_PIN_AGE_MS_MAX);
        pins.keep_at(one.snapshot(), &one, begun);
        let found = |at| pins.get_at(ViewName::System, one.snapshot(), at).is_some();
        assert!(found(begun + most));
        assert!(found(begun + most * 2));
        assert!(!found(begun + most * 3 + Duration::from_millis(1)));
        assert_eq!(pins.table().used.len(), 0);
    }
}
