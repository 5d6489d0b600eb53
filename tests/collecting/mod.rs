//! The collector example as a process of its own.
#![allow(dead_code)] // each test file uses a part

pub(crate) mod downstream;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// No run takes longer, or it hangs.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

/// The program, built as these tests are.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a path");
        let profile = test.ancestors().nth(2).expect("target/profile/deps/test");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--example", "collector", "--target-dir"]);
        build.arg(profile.parent().expect("target"));
        if cfg!(feature = "watch") {
            build.args(["--features", "watch"]);
        }
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
        assert!(built.success(), "the example does not build");
        profile.join("examples/collector")
    })
}

/// What a run has said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Waits for the end; one that does not come is a failure.
    pub(crate) fn of(child: Child) -> Self {
        let (pid, (send, ended)) = (child.id(), mpsc::channel());
        thread::spawn(move || send.send(child.wait_with_output()));
        let Ok(output) = ended.recv_timeout(LONGEST) else {
            signal(pid, "KILL");
            panic!("it hangs");
        };
        let Output { status, stdout, stderr } = output.expect("it ran");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// The last line, of a run that went well.
    pub(crate) fn summary(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        let summary: Value = serde_json::from_str(self.stdout.lines().last().expect("a line")).expect("JSON");
        let count = |name: &str| summary[name].as_u64().expect("a count");
        assert_eq!(count("received"), count("parsed") + count("malformed") + count("lost"), "{summary}");
        assert!(count("lost") <= count("restarts") + count("abandoned"), "{summary}");
        assert!(summary["seconds"].is_number() && summary["lines_per_s"].is_number(), "{summary}");
        summary
    }

    /// Its counts: received, parsed, malformed, lost.
    pub(crate) fn counts(&self) -> [u64; 4] {
        let summary = self.summary();
        ["received", "parsed", "malformed", "lost"].map(|name| summary[name].as_u64().expect("a count"))
    }
}

pub(crate) fn run(args: &[&str]) -> Said {
    let mut command = Command::new(program());
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Said::of(command.spawn().expect("it starts"))
}

pub(crate) fn signal(pid: u32, name: &str) {
    let kill = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(kill.expect("a shell").success(), "kill -{name}");
}

/// A collector that serves.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    stdout: BufReader<ChildStdout>,
    first: String,
    stderr: Mutex<mpsc::Receiver<String>>,
    /// What it has said on stderr so far.
    heard: Vec<String>,
}

impl Serving {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = Command::new(program());
        command.args(["--listen", "127.0.0.1:0"]).args(args);
        Self::of(command)
    }

    /// The program with these arguments and variables.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("a line");
        let address = first.trim().strip_prefix("listening on ").expect("an address");
        let address = address.parse().expect("an address");
        let (send, stderr) = mpsc::channel();
        let errors = BufReader::new(child.stderr.take().expect("a pipe"));
        thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, address, stdout, first, stderr: Mutex::new(stderr), heard: Vec::new() }
    }

    /// Waits until it says so on stderr, if it has not been waited for yet, and returns the line.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line = self.stderr.get_mut().expect("no panic").recv_timeout(LONGEST);
            let line = line.unwrap_or_else(|_| panic!("it never said {text:?}: {:?}", self.heard));
            self.heard.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The line in which it has said so by now, if it has.
    pub(crate) fn said(&mut self, text: &str) -> Option<String> {
        self.heard.extend(self.stderr.get_mut().expect("no panic").try_iter());
        self.heard.iter().find(|line| line.contains(text)).cloned()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("it listens")
    }

    /// Sends it over a connection of its own, and hangs up.
    pub(crate) fn tell(&self, bytes: &[u8]) {
        self.connect().write_all(bytes).expect("it reads");
    }

    /// Sends it, and waits until all of it was read.
    pub(crate) fn tell_and_wait(&self, bytes: &[u8]) {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("it reads");
        stream.shutdown(std::net::Shutdown::Write).expect("a connection");
        // How the collector hangs up is its own affair.
        let _ = stream.read(&mut [0]);
    }

    pub(crate) fn memory_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
    }

    /// Asks it to end, and waits for that.
    pub(crate) fn stop(self, with: &str) -> Said {
        signal(self.child.id(), with);
        self.end()
    }

    pub(crate) fn end(mut self) -> Said {
        let (first, mut stdout) = (self.first, self.stdout);
        let reader = thread::spawn(move || {
            let mut rest = first;
            stdout.read_to_string(&mut rest).map(|_| rest)
        });
        let Said { code, .. } = Said::of(self.child);
        self.heard.extend(self.stderr.get_mut().expect("no panic").iter());
        let stderr = self.heard.iter().map(|line| format!("{line}\n")).collect();
        Said { code, stdout: reader.join().expect("no panic").expect("text"), stderr }
    }
}

/// A file of a test, removed with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("collector-test-{}-{name}", std::process::id())))
    }

    pub(crate) fn holding(name: &str, bytes: &[u8]) -> Self {
        let scratch = Self::new(name);
        fs::write(&scratch.0, bytes).expect("a writable directory");
        scratch
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }

    pub(crate) fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).expect("the output");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.records().iter().map(|record| record["message"].as_str().expect("text").to_owned()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

pub(crate) fn numbered(range: std::ops::Range<u32>) -> Vec<u8> {
    range.map(|number| format!("<13>Jan  1 00:00:00 host app: {number}\n")).collect::<String>().into_bytes()
}

pub(crate) fn numbers(out: &Scratch) -> Vec<u32> {
    out.messages().iter().map(|message| message.parse().expect("a number")).collect()
}
