//! A server on a port of its own, in this process.

use crate::client::{self, Reply};
use baimo::args::{Arguments, Command};
use baimo_server::{App, Config, Served};
use clap::Parser;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// A running server; dropping it ends it.
pub struct Server {
    pub address: SocketAddr,
    pub app: Arc<App>,
    serving: Option<JoinHandle<anyhow::Result<()>>>,
    runtime: Option<Runtime>,
}

/// One that most tests share.
pub static SHARED: LazyLock<Server> = LazyLock::new(|| Server::start(Config::default()));

impl Server {
    /// Serves the poet, also as `other`, which nobody has asked for.
    pub fn start(config: Config) -> Server {
        Server::try_start(config).expect("a server")
    }

    /// Likewise.
    pub fn try_start(config: Config) -> anyhow::Result<Server> {
        let line = ["baimo", "serve", "poet", "other=poet", "--threads", "2"];
        let Command::Serve(arguments) = Arguments::parse_from(line).command else {
            panic!("`serve` is said");
        };
        let models = baimo::serve::models(&arguments, &config)?;
        let (server, ready) = Server::begin(config, models);
        match ready.recv() {
            Ok(_) => Ok(server),
            Err(_) => Err(server.ended().expect_err("it has ended")),
        }
    }

    /// Begins to serve; what comes back learns when it is ready.
    pub fn begin(config: Config, models: Vec<Served>) -> (Server, Receiver<SocketAddr>) {
        let runtime = Runtime::new().expect("a runtime");
        let (sender, receiver) = channel();
        let app = Arc::new(App::new(config, models));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let ready = move |address| {
            // Not every test waits for it.
            let _ = sender.send(address);
        };
        let serving = runtime.spawn(baimo_server::serve_at(app.clone(), listener, ready));
        (Server { address, app, serving: Some(serving), runtime: Some(runtime) }, receiver)
    }

    /// Waits for the end of a server that is being closed.
    pub fn ended(mut self) -> anyhow::Result<()> {
        let serving = self.serving.take().expect("it is waited for once");
        let runtime = self.runtime.as_ref().expect("it is ours until it is dropped");
        runtime.block_on(serving).expect("it does not panic")
    }

    pub fn get(&self, path: &str) -> Reply {
        client::send(self.address, "GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        client::send(self.address, "POST", path, &[], body.as_bytes())
    }

    /// That others are served, whatever some are doing.
    pub fn serves(&self) {
        let reply = self.post("/v1/chat/completions", &client::question(3, ""));
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}
