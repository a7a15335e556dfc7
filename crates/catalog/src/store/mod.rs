//! The store: models of hubs, fetched and kept where the hubs' own libraries keep them, so that
//! nothing is downloaded twice.
//!
//! A [`Reference`] names a model. [`Store::find`] says where it lies here, without any network;
//! [`Store::plan`] asks the hub what it is and how much is missing; [`Store::pull`] fetches that;
//! [`Store::remote`] reads parts of its files where they are. A file appears under its name only
//! when all of its bytes are there and have the hub's own hash.

mod choice;
mod error;
mod fetch;
mod folder;
mod hash;
mod http;
mod kept;
mod listing;
mod mirrors;
mod naming;
mod outline;
mod partial;
mod pull;
mod ranges;
mod reference;
mod remote;
mod settings;

pub(crate) use reference::is_name;

pub use error::{Error, human};
pub use hash::Hash;
pub use kept::{Kept, Removal, Unused};
pub use listing::{Listing, RemoteFile};
pub use naming::Named;
pub use outline::Outline;
pub use pull::{Plan, Planned, Pulled};
pub use reference::{Hub, Reference};
pub use remote::Remote;
pub use settings::{Manner, Settings, Token};

use std::sync::OnceLock;

/// What is told while something is fetched, from any thread.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A sentence for whoever waits.
    Note(&'a str),
    /// A file is begun, or begun again: so many of its bytes are there.
    Begin {
        /// Its path.
        file: &'a str,
        /// Its bytes in all.
        size: u64,
        /// Its bytes that are there.
        done: u64,
    },
    /// More bytes of a file came.
    Advance {
        /// Its path.
        file: &'a str,
        /// How many.
        bytes: u64,
    },
    /// All bytes of a file are there and are compared with the hub's hash.
    Check {
        /// Its path.
        file: &'a str,
    },
    /// A file has its name.
    End {
        /// Its path.
        file: &'a str,
    },
}

/// Who is told.
pub type Watch<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// The models that are kept here, and the way to more.
pub struct Store {
    settings: Settings,
    client: OnceLock<http::Client>,
}

impl Store {
    /// A store; nothing is touched or asked yet.
    pub fn new(settings: Settings) -> Store {
        Store { settings, client: OnceLock::new() }
    }

    /// How it is set up.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What asks hosts, unless that is forbidden.
    fn client(&self, what: &Reference) -> Result<&http::Client, Error> {
        if self.settings.offline {
            return Err(Error::Offline { what: what.to_string() });
        }
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = http::Client::new(&self.settings)?;
        Ok(self.client.get_or_init(|| client))
    }

    /// The hosts of a repository, the one that is believed first.
    fn sources(&self, reference: &Reference) -> Vec<listing::Source> {
        let settings = &self.settings;
        let source = |endpoint: &String, token: &Option<Token>| listing::Source {
            hub: reference.hub,
            endpoint: endpoint.clone(),
            repo: reference.repo.clone(),
            revision: reference.revision().to_owned(),
            token: token.clone(),
        };
        match reference.hub {
            Hub::HuggingFace => {
                let tokens = std::iter::once(&settings.token).chain(std::iter::repeat(&None));
                settings
                    .endpoints
                    .iter()
                    .zip(tokens)
                    .map(|(one, token)| source(one, token))
                    .collect()
            }
            Hub::ModelScope => {
                vec![source(&settings.modelscope_endpoint, &settings.modelscope_token)]
            }
        }
    }
}
