//! The graph of a realm: System, the shadow working sets, the versions of each that can still be read, and the
//! log of what changed them. What a view is and how it changes is the graph crate's.

use actum_graph::{KindRegistry, View};
use actum_model::graph::{RewriteRow, SwsRow, SwsState, ViewName};
use actum_model::ids::Tenant;
use actum_model::{ErrorCode, Fault, Hash, RealmConfig};
use imbl::{OrdMap, OrdSet, Vector};
use std::fmt;
use std::sync::Arc;

/// The collapse policy of this version: fail fast, on the first run with any conflict.
pub const COLLAPSE_POLICY: u32 = 1;

/// All of it. A clone costs O(1).
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The truth.
    pub system: Branch,
    /// Shadow working sets by number; closed ones without their views.
    pub sws: OrdMap<u64, Arc<Sws>>,
    /// Which kinds of nodes and edges there may be.
    pub kinds: Arc<KindRegistry>,
    /// Number of the next shadow working set.
    pub next_sws: u64,
    /// Place of the next entry of the rewrite log.
    pub next_rewrite: u64,
    /// The newest entries of the rewrite log, without a gap.
    pub(crate) rewrites: Vector<Arc<RewriteRow>>,
    pub(crate) rewrite_bytes: u64,
    /// Closed shadow working sets whose row is kept.
    pub(crate) closed: OrdSet<u64>,
    /// A view that is being restored.
    pub(crate) building: Option<Box<super::graph_restore::Building>>,
}

/// A view that goes on: what it is now, and what it was.
#[derive(Clone, Debug)]
pub struct Branch {
    /// Its content now.
    pub view: View,
    /// Its digest now.
    pub digest: Hash,
    /// How many changes led to it.
    pub n: u64,
    /// Earlier versions, ascending.
    pub(crate) kept: Vector<Kept>,
    /// Places in the rewrite log of its entries, of those that are kept.
    pub(crate) log: Vector<u64>,
    /// How many entries it has had.
    pub(crate) entries: u64,
}

/// An earlier version of a view.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) n: u64,
    pub(crate) digest: Hash,
    /// History time at which a later version took its place, milliseconds.
    pub(crate) until: u64,
    pub(crate) view: View,
}

/// A shadow working set.
#[derive(Clone, Debug)]
pub struct Sws {
    /// What is said of it.
    pub row: SwsRow,
    /// System as it was when it began, or was moved; empty once it is closed.
    pub base: View,
    /// Its own view; empty once it is closed.
    pub branch: Branch,
}

impl Default for Branch {
    fn default() -> Branch {
        let view = View::default();
        let digest = view.digest();
        Branch::fork(view, digest)
    }
}

/// A view at one of its versions.
#[derive(Clone, Debug)]
pub struct Version {
    /// Whose.
    pub name: ViewName,
    /// How many changes led to it.
    pub n: u64,
    /// Its digest.
    pub digest: Hash,
    /// Its content.
    pub view: View,
}

impl Version {
    /// The name under which it can be read while it is kept.
    #[must_use]
    pub fn snapshot(&self) -> SnapshotId {
        SnapshotId::new(self.n, &self.digest)
    }
}

/// Name of a version of a view: `<n>-<first 16 hex digits of its digest>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SnapshotId {
    n: u64,
    digest: u64,
}

impl SnapshotId {
    /// The name of the version after `n` changes with this digest.
    #[must_use]
    pub fn new(n: u64, digest: &Hash) -> SnapshotId {
        let digest = digest
            .0
            .first_chunk()
            .map_or(0, |first| u64::from_be_bytes(*first));
        SnapshotId { n, digest }
    }

    /// Reads a name.
    ///
    /// # Errors
    /// `INVALID_INPUT` when it has another form.
    pub fn parse(text: &str) -> Result<SnapshotId, Fault> {
        let read = || {
            let (n, digest) = text.split_once('-')?;
            let id = SnapshotId {
                n: n.parse().ok()?,
                digest: u64::from_str_radix(digest, 16).ok()?,
            };
            (id.to_string() == text).then_some(id)
        };
        read().ok_or_else(|| {
            let shown = actum_model::json::shorten(text);
            let message = format!("expected a snapshot id such as `3-0123456789abcdef`, got `{shown}`");
            Fault::new(ErrorCode::InvalidInput, message)
        })
    }
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.n, self.digest)
    }
}

impl Branch {
    /// A branch that begins at a version of another view.
    pub(crate) fn fork(view: View, digest: Hash) -> Branch {
        Branch {
            view,
            digest,
            n: 0,
            kept: Vector::new(),
            log: Vector::new(),
            entries: 0,
        }
    }

    /// The current version under its name.
    #[must_use]
    pub fn current(&self, name: ViewName) -> Version {
        Version {
            name,
            n: self.n,
            digest: self.digest,
            view: self.view.clone(),
        }
    }

    /// A later content takes the place of the present one, unless it is the same.
    pub(crate) fn advance(&mut self, view: View, digest: Hash, at: u64, config: &RealmConfig) {
        let before = std::mem::replace(&mut self.view, view);
        if digest == self.digest {
            return;
        }
        self.kept.push_back(Kept {
            n: self.n,
            digest: std::mem::replace(&mut self.digest, digest),
            until: at,
            view: before,
        });
        self.n += 1;
        let oldest = at.saturating_sub(config.graph_snapshot_age_ms_max);
        while self.kept.len() as u64 > config.graph_snapshots_max
            || self.kept.front().is_some_and(|kept| kept.until < oldest)
        {
            self.kept.pop_front();
        }
    }

    /// The content is gone; what is said of it stays.
    pub(crate) fn close(&mut self) {
        self.view = View::default();
        self.kept = Vector::new();
    }

    fn version(&self, name: ViewName, asked: SnapshotId, oldest: u64) -> Result<Version, Fault> {
        let current = self.current(name);
        if current.snapshot() == asked {
            return Ok(current);
        }
        let kept = self.kept.iter().find(|kept| kept.n == asked.n);
        let named = |kept: &Kept| SnapshotId::new(kept.n, &kept.digest) == asked;
        match kept {
            Some(kept) if !named(kept) => Err(no_snapshot(name, asked)),
            Some(kept) if kept.until >= oldest => Ok(Version {
                name,
                n: kept.n,
                digest: kept.digest,
                view: kept.view.clone(),
            }),
            _ if asked.n >= self.n => Err(no_snapshot(name, asked)),
            _ => {
                let message = format!("snapshot `{asked}` of {name} is no longer kept");
                Err(Fault::new(ErrorCode::SnapshotExpired, message))
            }
        }
    }
}

fn no_snapshot(name: ViewName, asked: SnapshotId) -> Fault {
    Fault::new(
        ErrorCode::NotFound,
        format!("{name} never had a snapshot `{asked}`"),
    )
}

impl Graph {
    /// A shadow working set of this tenant.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn sws(&self, tenant: &Tenant, id: u64) -> Result<&Arc<Sws>, Fault> {
        let found = self.sws.get(&id).filter(|sws| sws.row.tenant == *tenant);
        found.ok_or_else(|| {
            let message = format!("no shadow working set `{id}` exists");
            Fault::new(ErrorCode::NotFound, message)
        })
    }

    /// A shadow working set of this tenant that may be worked on.
    ///
    /// # Errors
    /// `NOT_FOUND`, `SWS_NOT_ACTIVE`.
    pub fn active(&self, tenant: &Tenant, id: u64) -> Result<&Arc<Sws>, Fault> {
        let sws = self.sws(tenant, id)?;
        if sws.row.state == SwsState::Active {
            return Ok(sws);
        }
        let state = sws.row.state.as_str();
        let message = format!("shadow working set `{id}` is {state}, its view is gone");
        Err(Fault::new(ErrorCode::SwsNotActive, message))
    }

    fn branch(&self, tenant: &Tenant, name: ViewName) -> Result<&Branch, Fault> {
        match name {
            ViewName::System => Ok(&self.system),
            ViewName::Sws(id) => self.active(tenant, id).map(|sws| &sws.branch),
        }
    }

    /// The current version of a view.
    ///
    /// # Errors
    /// `NOT_FOUND`, `SWS_NOT_ACTIVE`.
    pub fn current(&self, tenant: &Tenant, name: ViewName) -> Result<Version, Fault> {
        self.branch(tenant, name).map(|branch| branch.current(name))
    }

    /// The entry of the rewrite log at a place, if it is kept.
    #[must_use]
    pub fn rewrite(&self, idx: u64) -> Option<&Arc<RewriteRow>> {
        let first = self.rewrites.front()?.idx;
        let at = usize::try_from(idx.checked_sub(first)?).ok()?;
        self.rewrites.get(at)
    }

    /// The entries of the rewrite log about one view behind place `after`, ascending, each with its place among
    /// them.
    ///
    /// # Errors
    /// `NOT_FOUND` for a view that is not there; `RECORD_GONE` where entries behind `after` are no longer kept.
    pub fn rewrites_of(
        &self,
        tenant: &Tenant,
        name: ViewName,
        after: Option<u64>,
    ) -> Result<impl Iterator<Item = (u64, &Arc<RewriteRow>)>, Fault> {
        let branch = match name {
            ViewName::System => &self.system,
            ViewName::Sws(id) => &self.sws(tenant, id)?.branch,
        };
        let gone = branch.entries.saturating_sub(branch.log.len() as u64);
        let skip = match after {
            None => 0,
            Some(after) => match branch.log.binary_search(&after) {
                Ok(at) => at + 1,
                Err(at) => at,
            },
        };
        // What is gone was before the first kept entry of the whole log.
        let first_kept = self.rewrites.front().map_or(self.next_rewrite, |first| first.idx);
        let missed = after.is_some_and(|after| after.saturating_add(1) < first_kept);
        if gone > 0 && skip == 0 && missed {
            let message = format!(
                "entries of {name} behind {} are no longer kept",
                after.unwrap_or(0)
            );
            return Err(Fault::new(ErrorCode::RecordGone, message));
        }
        let rows = branch.log.skip(skip);
        let first = gone + skip as u64;
        Ok(rows
            .into_iter()
            .enumerate()
            .filter_map(move |(at, idx)| Some((first + at as u64, self.rewrite(idx)?))))
    }

    /// How many entries of the rewrite log there have been about a view, kept or not.
    ///
    /// # Errors
    /// `NOT_FOUND` for a view that is not there.
    pub fn entries_of(&self, tenant: &Tenant, name: ViewName) -> Result<u64, Fault> {
        match name {
            ViewName::System => Ok(self.system.entries),
            ViewName::Sws(id) => self.sws(tenant, id).map(|sws| sws.branch.entries),
        }
    }

    /// A shadow working set begins at System as it is.
    pub(crate) fn insert_fork(&mut self, row: SwsRow) {
        let base = self.system.view.clone();
        let branch = Branch::fork(base.clone(), self.system.digest);
        self.sws.insert(row.id, Arc::new(Sws { row, base, branch }));
    }

    pub(crate) fn keep(&mut self, row: Arc<RewriteRow>) {
        self.rewrite_bytes += row.weight_bytes();
        self.rewrites.push_back(row);
    }

    pub(crate) fn forget_oldest(&mut self) {
        let Some(row) = self.rewrites.pop_front() else {
            return;
        };
        self.rewrite_bytes = self.rewrite_bytes.saturating_sub(row.weight_bytes());
        if row.system_idx.is_some() {
            self.system.log.pop_front();
        }
        if let Some(sws) = self.sws.get_mut(&row.sws) {
            Arc::make_mut(sws).branch.log.pop_front();
        }
    }

    /// Active shadow working sets.
    #[must_use]
    pub fn active_count(&self) -> usize {
        self.sws.len().saturating_sub(self.closed.len())
    }

    /// Whether nothing ever happened here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next_sws == 0
    }
}

impl super::State {
    /// A view as it is now, or at one of its kept versions.
    ///
    /// # Errors
    /// `NOT_FOUND`, `SWS_NOT_ACTIVE`, `SNAPSHOT_EXPIRED`.
    pub fn version(
        &self,
        tenant: &Tenant,
        name: ViewName,
        snapshot: Option<SnapshotId>,
    ) -> Result<Version, Fault> {
        let branch = self.graph.branch(tenant, name)?;
        let oldest = self.at.saturating_sub(self.config.graph_snapshot_age_ms_max);
        match snapshot {
            None => Ok(branch.current(name)),
            Some(asked) => branch.version(name, asked, oldest),
        }
    }
}
