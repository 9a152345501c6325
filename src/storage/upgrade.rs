//! From the format of an older release to this one's, in place: one step for each version of the directory.
//!
//! A step may be stopped at any point and is then run again from its start. FORMAT.md says how one is added.

use super::env::Env;
use super::error::StoreError;
use super::home::{Version, write_version};
use super::names::Names;

/// The version of the directory that this release writes, and the latest that it reads.
pub(super) const VERSION: u32 = 2;

/// Brings a directory from one version to the next.
pub(super) type Step = fn(&dyn Env, &Names) -> Result<(), StoreError>;

/// The step at place n leads from version n + 1 to version n + 2.
pub(super) const STEPS: &[Step] = &[no_change];

/// What the older release wrote stands as it is; it would not understand what this one adds.
fn no_change(_: &dyn Env, _: &Names) -> Result<(), StoreError> {
    Ok(())
}

/// Runs the steps that lead from `found` to the last version, and notes each one that is done.
pub(super) fn upgrade(
    env: &dyn Env,
    names: &Names,
    found: Version,
    steps: &[Step],
) -> Result<(), StoreError> {
    for (version, step) in (2u32..).zip(steps).filter(|(version, _)| *version > found.version) {
        step(env, names)?;
        write_version(env, names, Version { version, ..found })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::env::{CrashPlan, OpenMode, SimEnv};
    use super::super::home::read_version;
    use super::*;

    const FOUND: Version = Version { version: 1, store_id: 7 };

    fn append(env: &dyn Env, names: &Names, octet: u8) -> Result<(), StoreError> {
        let path = names.root().join("steps");
        let file = env.open(&path, OpenMode::Write).or_else(|_| env.open(&path, OpenMode::Create)).unwrap();
        let end = file.len().unwrap();
        file.write_at(&[octet], end).map_err(|error| StoreError::io("write", &path, &error))
    }

    const STEPS: &[Step] = &[|env, names| append(env, names, b'2'), |env, names| append(env, names, b'3')];

    #[test]
    fn only_the_steps_that_are_missing_are_run_and_each_is_noted() {
        let env = SimEnv::new();
        let names = Names::new(Path::new("/data"));
        upgrade(&env, &names, FOUND, &STEPS[..1]).unwrap();
        upgrade(&env, &names, Version { version: 2, ..FOUND }, STEPS).unwrap();
        upgrade(&env, &names, Version { version: 3, ..FOUND }, STEPS).unwrap();
        assert_eq!(env.contents(&names.root().join("steps")).unwrap(), b"23");
    }

    #[test]
    fn a_directory_of_the_first_version_becomes_one_of_the_latest() {
        let env = SimEnv::new();
        let names = Names::new(Path::new("/data"));
        write_version(&env, &names, FOUND).unwrap();
        upgrade(&env, &names, FOUND, super::STEPS).unwrap();
        assert_eq!(read_version(&env, &names).unwrap(), Some(Version { version: VERSION, ..FOUND }));
    }

    #[test]
    fn a_step_that_was_stopped_is_run_again() {
        let env = SimEnv::new();
        let names = Names::new(Path::new("/data"));
        write_version(&env, &names, FOUND).unwrap();
        let crash_at = Some(env.changes() + 2);
        env.set_plan(CrashPlan { crash_at, ..CrashPlan::default() });
        upgrade(&env, &names, FOUND, &STEPS[..1]).unwrap_err();
        env.crash(&mut || 0);
        assert_eq!(read_version(&env, &names).unwrap(), Some(FOUND));
    }
}
