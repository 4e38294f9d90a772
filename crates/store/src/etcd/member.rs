//! One member of the cluster: its connection, and one call on it at a time limit.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::ConnectError;
use super::messages::{WATCH, WatchAnswer, WatchAsked, WatchCreate};

/// How long a call may take. Twice what a healthy cluster takes under load, and a sixth of what a heartbeat has.
pub(super) const TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may be silent before it is asked for a sign of life, and then take to give one: a
/// member that went away without a word is noticed after two of these.
const SILENCE: Duration = Duration::from_secs(1);

/// Longest answer: two pages of the longest.
const ANSWER_LEN: usize = 16 << 20;

/// What names a signed-in user in a call (etcd's `rpctypes.TokenFieldNameGRPC`).
const TOKEN: &str = "token";

/// A signed-in user.
pub(super) type Token = MetadataValue<Ascii>;

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may have been carried out or not.
    Unanswered(String),
    /// Whoever asks is not, or no longer, signed in.
    SignedOut(String),
    /// Whoever asks may not, or gave a wrong password.
    Denied(String),
    /// The store cannot make sense of it, and never will.
    Senseless(String),
    /// Another cluster has answered, or this one as it was before.
    Foreign(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Unanswered(why)
            | Trouble::SignedOut(why)
            | Trouble::Denied(why)
            | Trouble::Senseless(why)
            | Trouble::Foreign(why) => f.write_str(why),
        }
    }
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Trouble {
        let why = explain(&status);
        match status.code() {
            Code::Unauthenticated => Trouble::SignedOut(why),
            // What etcd says to nobody in particular, where it wants to know.
            Code::InvalidArgument if status.message().contains("user name is empty") => {
                Trouble::SignedOut(why)
            }
            // Users or roles have changed since the token was given out.
            Code::InvalidArgument if status.message().contains("revision of auth store is old") => {
                Trouble::SignedOut(why)
            }
            Code::PermissionDenied => Trouble::Denied(why),
            // etcd's answers to a wrong name or password, and to signing in where nobody has to.
            Code::InvalidArgument | Code::FailedPrecondition if status.message().contains("auth") => {
                Trouble::Denied(why)
            }
            Code::InvalidArgument | Code::Unimplemented => Trouble::Senseless(why),
            _ => Trouble::Unanswered(why),
        }
    }
}

/// The message, and the cause that a failed connection hides behind it.
fn explain(status: &Status) -> String {
    let mut said = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = error.source();
    }
    said
}

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// As it is in the configuration.
    pub(super) name: String,
    channel: Channel,
}

impl Member {
    /// Looks up its addresses now, for good: a confined process can ask nobody later. Connects with the first call, and again
    /// whenever the connection is gone.
    pub(super) fn new(name: &str, tls: Option<&ClientTlsConfig>) -> Result<Member, ConnectError> {
        let bad = |why: &dyn fmt::Display| ConnectError::Endpoint {
            endpoint: name.to_owned(),
            why: why.to_string(),
        };
        let uri: Uri = name.parse().map_err(|error| bad(&error))?;
        let (scheme, wanted) = (uri.scheme_str(), if tls.is_some() { "https" } else { "http" });
        if scheme != Some(wanted) || !matches!(uri.path(), "" | "/") {
            return Err(bad(&format!("it should look like {wanted}://HOST:PORT")));
        }
        let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
            return Err(bad(&"it needs a host and a port"));
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> =
            (bare, port).to_socket_addrs().map_err(|error| bad(&error))?.collect();
        let mut endpoint = Endpoint::from(uri.clone())
            .connect_timeout(TIMEOUT)
            .http2_keep_alive_interval(SILENCE)
            .keep_alive_timeout(SILENCE)
            .keep_alive_while_idle(true);
        if let Some(tls) = tls {
            endpoint = endpoint
                .tls_config(tls.clone().domain_name(bare))
                .map_err(|error| ConnectError::Tls { detail: error.to_string() })?;
        }
        let dial = tower::service_fn(move |_: Uri| {
            let addresses = addresses.clone();
            async move {
                let stream = TcpStream::connect(&addresses[..]).await?;
                stream.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(stream))
            }
        });
        Ok(Member { name: name.to_owned(), channel: endpoint.connect_with_connector_lazy(dial) })
    }

    /// One call, sent at most once.
    pub(super) async fn call<Q, A>(
        &self,
        path: &'static str,
        asked: Q,
        token: Option<&Token>,
        timeout: Duration,
    ) -> Result<A, Trouble>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc();
        let work = async {
            let ready = grpc.ready().await;
            ready.map_err(|error| Trouble::from(Status::from_error(error.into())))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(request(asked, token), PathAndQuery::from_static(path), codec).await;
            Ok(answer?.into_inner())
        };
        match tokio::time::timeout(timeout, work).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Unanswered(format!("no answer within {} s", timeout.as_secs()))),
        }
    }

    /// News of changes in a range, from now on, until the connection is gone.
    pub(super) async fn watch(
        &self,
        key: Vec<u8>,
        range_end: Vec<u8>,
        token: Option<&Token>,
    ) -> Result<Streaming<WatchAnswer>, Trouble> {
        let mut grpc = self.grpc();
        let ready = grpc.ready().await;
        ready.map_err(|error| Trouble::from(Status::from_error(error.into())))?;
        let asked = WatchAsked { create: Some(WatchCreate { key, range_end }) };
        let codec = ProstCodec::<WatchAsked, WatchAnswer>::default();
        let path = PathAndQuery::from_static(WATCH);
        Ok(grpc.server_streaming(request(asked, token), path, codec).await?.into_inner())
    }

    fn grpc(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone()).max_decoding_message_size(ANSWER_LEN)
    }
}

fn request<Q>(asked: Q, token: Option<&Token>) -> Request<Q> {
    let mut request = Request::new(asked);
    if let Some(token) = token {
        request.metadata_mut().insert(TOKEN, token.clone());
    }
    request
}
