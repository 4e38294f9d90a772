//! Why a restriction is not in force.

/// See the variants. None of them goes away by trying again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// A fault of the caller: restrictions hold for one thread and what it starts.
    #[error("other threads were started before the process was confined")]
    OtherThreads,
    /// The user to change to is unknown, or may not be changed to.
    #[error("cannot become the user {name}: {why}")]
    User {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The kernel did not take capabilities away.
    #[error("cannot give up capabilities: {0}")]
    Capabilities(String),
    /// Access to files is not, or only partly, restricted.
    #[error("access to files is not restricted as it should be: {0}")]
    Files(String),
    /// System calls are not filtered.
    #[error("system calls are not filtered: {0}")]
    Calls(String),
}
