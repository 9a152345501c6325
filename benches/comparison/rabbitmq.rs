//! RabbitMQ as its package installs it, in a process of its own on loopback with a directory of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::drive::now;

/// Where the script is: of the package first, which does not change the user.
const SCRIPTS: [&str; 2] = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server"];

/// It takes seconds to start.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// A RabbitMQ that runs.
#[derive(Debug)]
pub(crate) struct RabbitMq {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    child: Child,
    /// Where its port mapper listens, which leaves the family and must be ended by itself.
    mapper: u16,
    _directory: TempDir,
}

impl RabbitMq {
    /// Starts it; `None`: it is not installed.
    pub(crate) fn start(script: Option<&Path>) -> io::Result<Option<Self>> {
        let installed = SCRIPTS.iter().map(PathBuf::from).find(|path| path.exists());
        let Some(script) = script.map(Path::to_owned).or(installed) else { return Ok(None) };
        let directory = TempDir::new()?;
        let [port, distribution, mapper] = free_ports()?;
        let plugins = directory.path().join("plugins");
        std::fs::write(&plugins, "[].")?;
        let configuration = directory.path().join("rabbitmq.conf");
        std::fs::write(&configuration, format!("listeners.tcp.local = 127.0.0.1:{port}\n"))?;
        let mut child = Command::new(script)
            .env("HOME", directory.path())
            .env("RABBITMQ_NODENAME", format!("comparison-{port}@localhost"))
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("ERL_EPMD_PORT", mapper.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", directory.path().join("data"))
            .env("RABBITMQ_LOG_BASE", directory.path().join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins)
            .env("RABBITMQ_CONFIG_FILE", configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Err(error) = wait_for(address, &mut child) {
            end(&mut child);
            return Err(error);
        }
        let pid = machine_of(child.id())?;
        Ok(Some(Self { address, pid, child, mapper, _directory: directory }))
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        end(&mut self.child);
        let _ = Command::new("epmd")
            .args(["-port", &self.mapper.to_string(), "-kill"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Ends the whole family: the script and its machine.
fn end(child: &mut Child) {
    for pid in descendants(child.id()) {
        let _ = Command::new("kill").arg(pid.to_string()).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn wait_for(address: SocketAddr, child: &mut Child) -> io::Result<()> {
    let started = now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("rabbitmq-server ended: {status}")));
        }
        if started.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(LOOK);
    }
    // It listens a moment before it lets anybody in.
    thread::sleep(Duration::from_secs(2));
    Ok(())
}

/// The Erlang machine below a script.
fn machine_of(script: u32) -> io::Result<u32> {
    let is_machine = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("beam")
    };
    descendants(script).into_iter().find(is_machine).ok_or_else(|| io::Error::other("no Erlang machine runs"))
}

/// A process and all below it.
fn descendants(of: u32) -> Vec<u32> {
    let mut found = vec![of];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        at += 1;
    }
    found
}

fn free_ports() -> io::Result<[u16; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [bind()?, bind()?, bind()?];
    let [first, second, third] = held.map(|listener| listener.local_addr().map(|address| address.port()));
    Ok([first?, second?, third?])
}
