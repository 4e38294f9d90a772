//! What both kinds of file have in common: keys, interface, control socket, policy, and paths that start at the file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jumpvpn_policy::Policy;
use toml::de::DeTable;

use crate::key::{self, SecretKey};
use crate::keys::FileSpec;
use crate::reader::{self, Section};
use crate::report::Notes;
use crate::{policy, value};

/// Interface of a file that names none.
const DEFAULT_INTERFACE: &str = "jump0";

/// Folder of the control socket of a file that names none.
pub const SOCKET_FOLDER: &str = "/run/jumpvpn";

/// Folder for what is kept from start to start, where systemd gives the service none.
const STATE_FOLDER: &str = "/var/lib/jumpvpn";

/// The same for agents.
const AGENT_STATE_FOLDER: &str = "/var/lib/jumpvpn-agent";

/// The folder that systemd gives the service for its state.
pub(crate) fn service_folder() -> Option<PathBuf> {
    std::env::var_os("STATE_DIRECTORY").map(PathBuf::from)
}

/// The folder for what a gateway keeps from start to start, where the file names none.
pub(crate) fn state_folder() -> PathBuf {
    service_folder().unwrap_or_else(|| PathBuf::from(STATE_FOLDER))
}

/// The same for an agent: another one, because whoever may write in a gateway's could put another store there.
pub(crate) fn agent_state_folder() -> PathBuf {
    service_folder().unwrap_or_else(|| PathBuf::from(AGENT_STATE_FOLDER))
}

/// Longest path of a Unix socket in bytes: `sun_path` has 108 with its closing zero (`unix(7)`).
const SOCKET_PATH_MAX_LEN: usize = 107;

/// A parsed file and where it lies.
pub(crate) struct Source<'a> {
    pub(crate) root: &'a DeTable<'a>,
    /// The file as the caller named it.
    pub(crate) path: &'a Path,
}

/// A file being read: its tables by name.
pub(crate) struct Context<'a> {
    source: &'a Source<'a>,
    sections: BTreeMap<&'static str, Vec<Section<'a>>>,
    /// Whether files of keys are looked for.
    keys: bool,
}

impl<'a> Context<'a> {
    /// Splits the file into the tables of its kind.
    pub(crate) fn new(source: &'a Source<'a>, spec: &'static FileSpec, notes: &mut Notes) -> Context<'a> {
        Context { source, sections: reader::sections(spec, source.root, notes), keys: true }
    }

    /// As [`Context::new`]; as if the file named no secret key.
    pub(crate) fn without_keys(
        source: &'a Source<'a>,
        spec: &'static FileSpec,
        notes: &mut Notes,
    ) -> Context<'a> {
        Context { keys: false, ..Context::new(source, spec, notes) }
    }

    /// All tables called `name`.
    pub(crate) fn sections(&self, name: &str) -> &[Section<'a>] {
        self.sections.get(name).map_or(&[], Vec::as_slice)
    }

    /// The table called `name`, of which there is one.
    pub(crate) fn only(&self, name: &str) -> Option<&Section<'a>> {
        self.sections(name).first()
    }

    /// A path behind `name`; a relative one starts at the folder of the file.
    pub(crate) fn path(&self, section: &Section<'_>, name: &str, notes: &mut Notes) -> Option<PathBuf> {
        let path = |text: &str| match text {
            "" => Err(format!("`{name}` is empty")),
            text if text.starts_with(key::CREDENTIALS) => {
                key::credential(text).map_err(|why| match self.keys {
                    true => why,
                    false => {
                        format!("{why}, and perhaps not after the service has ended: name a file instead")
                    }
                })
            }
            text => Ok(self.source.path.parent().unwrap_or(Path::new("")).join(text)),
        };
        section.text(name, notes, path).map(|path| path.value)
    }

    /// As [`Context::path`], where the path is that of a secret key.
    pub(crate) fn key_path(&self, section: &Section<'_>, name: &str, notes: &mut Notes) -> Option<PathBuf> {
        if self.keys { self.path(section, name, notes) } else { None }
    }

    /// The secret key in the file behind `name`.
    pub(crate) fn key_file(&self, section: &Section<'_>, name: &str, notes: &mut Notes) -> Option<SecretKey> {
        let path = self.key_path(section, name, notes)?;
        key::read_file(&path)
            .map_err(|error| {
                if let Some(value) = section.value(name) {
                    notes.error_hint(&value.span(), error.message, error.hint);
                }
            })
            .ok()
    }

    /// The tunnel's interface.
    pub(crate) fn interface(&self, section: &Section<'_>, notes: &mut Notes) -> String {
        let named = section.text("interface", notes, value::interface);
        named.map_or_else(|| DEFAULT_INTERFACE.to_owned(), |name| name.value)
    }

    /// The control socket, by default named after the file.
    pub(crate) fn control_socket(&self, section: &Section<'_>, notes: &mut Notes) -> Option<PathBuf> {
        let Some(value) = section.value("control_socket") else {
            let mut name = self.source.path.file_stem().unwrap_or_else(|| "jumpvpn".as_ref()).to_owned();
            name.push(".sock");
            return Some(Path::new(SOCKET_FOLDER).join(name));
        };
        let path = self.path(section, "control_socket", notes)?;
        if path.as_os_str().len() > SOCKET_PATH_MAX_LEN {
            let message = format!("{}: longer than {SOCKET_PATH_MAX_LEN} bytes", path.display());
            notes.error_hint(
                &value.span(),
                message,
                "paths of Unix sockets are short; choose another folder",
            );
            return None;
        }
        Some(path)
    }

    /// The policy and the name of the preset it came from.
    pub(crate) fn policy(
        &self,
        section: &Section<'_>,
        default: &'static str,
        notes: &mut Notes,
    ) -> (Policy, String) {
        policy::read(section.value("policy"), self.source.root.get(reader::POLICY), default, notes)
    }
}
