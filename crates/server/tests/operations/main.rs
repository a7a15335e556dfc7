//! The server as its operators and those who attack it meet it: a real port, raw sockets, the
//! built-in poet.

mod client;
mod ending;
mod hostile;
mod keys;
mod models;
mod page;
mod server;
mod tls;
