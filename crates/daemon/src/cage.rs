//! The cage that programs run in, as the operator asked for it: how strong, and what a program sees there.
//!
//! It builds no cage itself, that is `actum-sandbox`.

use crate::door::Job;
use crate::sessions::{Place, Places};
use actum_engine::Start;
use actum_model::worker::Sandbox;
use actum_model::{ErrorCode, Fault};
use actum_provider::Grants;
use actum_sandbox::{Access, Enforced, HOME, Launcher, Level, Mount, Profile, Refusal, Spec, environment};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What every cage of this daemon has in common. Clones share it.
#[derive(Clone)]
pub(crate) struct Cages {
    pub(crate) sandbox: Sandbox,
    pub(crate) launcher: Launcher,
    pub(crate) places: Places,
    grants: Arc<Grants>,
    /// What this host has, looked at once.
    host: Arc<OnceLock<Level>>,
}

impl Cages {
    pub(crate) fn new(sandbox: Sandbox, data: PathBuf, grants: Arc<Grants>) -> Cages {
        // A daemon that was killed could not take the control groups of its cages with it.
        actum_sandbox::sweep();
        Cages {
            sandbox,
            launcher: Launcher::of_this_program(),
            places: Places::new(data, Arc::clone(&grants)),
            grants,
            host: Arc::default(),
        }
    }

    /// The level to ask for: all of it, or what this host has. Blocks the first time.
    pub(crate) fn required(&self) -> Level {
        match self.sandbox {
            Sandbox::Full => Level::Full,
            Sandbox::Partial => self.host.get_or_init(|| self.launcher.probe().level).clone(),
            Sandbox::None => Level::None,
        }
    }

    /// Puts a program into its cage. Blocks.
    ///
    /// # Errors
    /// `NOT_GRANTED` for a program or folder that is not granted, `INVALID_INPUT` for what is no folder.
    pub(crate) fn cage(&self, mut job: Job, start: &Start) -> Result<Job, Fault> {
        let program = job.argv.first().map(String::as_str).unwrap_or_default();
        self.grants.check_program(program)?;
        if self.sandbox == Sandbox::None {
            return Ok(job);
        }
        let identity = &start.identity;
        let (Some(id), Some(session)) = (&identity.session, &start.session) else {
            let message = format!("the session of `{}` is gone", identity.public_id());
            return Err(Fault::new(ErrorCode::SessionNotFound, message));
        };
        let key = (identity.tenant.clone(), id.clone());
        let spec = session.spec_value();
        let place = self
            .places
            .of_program(&key, session.generation, &spec, job.cwd.as_deref())?;
        let mut caged = Spec::pure(job.argv.clone());
        caged.profile = Profile::Custom;
        caged.cwd = inside(&place, job.cwd.as_deref());
        caged.mounts = mounts(&place);
        caged.mounts.extend(self.places.cover(&caged.mounts)?);
        caged.env = environment(&job.env);
        caged
            .env
            .insert(crate::door::MARK.to_owned(), job.effect.to_string());
        caged.require = self.required();
        caged.limits.memory_bytes = memory_bytes().map(|all| all / 2);
        job.cage = Some(Box::new(Caging {
            launcher: self.launcher.clone(),
            spec: caged,
        }));
        Ok(job)
    }
}

/// The cage of one program, ready to be built.
#[derive(Clone, Debug)]
pub struct Caging {
    pub(crate) launcher: Launcher,
    pub(crate) spec: Spec,
}

/// The memory of this machine, as far as it is known. Programs get a part of it, so that one that takes all it can get
/// ends before the machine does.
pub(crate) fn memory_bytes() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Folders of the user are seen where they are, so that a path means the same inside and outside; what is the
/// session's own is seen at its fixed place.
fn mounts(place: &Place) -> Vec<Mount> {
    let user = |mount: &Mount| Mount {
        at: if place.is_private(mount) {
            mount.at.clone()
        } else {
            mount.host.clone()
        },
        ..mount.clone()
    };
    place.mounts.iter().map(user).collect()
}

/// Where a program starts: in the folder it names, else in the workspace, else in its private `/tmp`.
fn inside(place: &Place, cwd: Option<&str>) -> PathBuf {
    if let Some(cwd) = cwd {
        // It was found to be there when the place was made; a link in it leads where it leads.
        return std::fs::canonicalize(cwd).unwrap_or_else(|_| PathBuf::from(cwd));
    }
    let first = mounts(place)
        .into_iter()
        .find(|mount| mount.access == Access::Write);
    first.map_or_else(|| Path::new(HOME).to_owned(), |mount| mount.at)
}

/// The cage in force, as a result says it: the level, and what is missing of it.
pub(crate) fn in_force(enforced: &Enforced) -> Value {
    let missing: Vec<&str> = enforced
        .level
        .missing()
        .into_iter()
        .map(actum_sandbox::Layer::name)
        .collect();
    if missing.is_empty() {
        return json!({"level": enforced.level.to_string()});
    }
    json!({"level": enforced.level.to_string(), "missing": missing})
}

/// Why there is no cage, as the caller of a command sees it.
pub(crate) fn refused(refusal: &Refusal) -> Fault {
    let (code, hint) = match refusal {
        Refusal::Unavailable { .. } => (ErrorCode::SandboxUnavailable, refusal.hint()),
        _ => (ErrorCode::SpawnFailed, refusal.hint()),
    };
    let fault = Fault::new(code, refusal.to_string());
    match hint {
        Some(hint) => fault.with_hint(hint),
        None => fault,
    }
}
