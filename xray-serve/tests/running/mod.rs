//! A server on a free port.

use crate::bundle::bundle;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use xray_serve::model::Model;
use xray_serve::server::serve;
use xray_serve::service::{Service, router};
use xray_serve::settings::Settings;

/// It ends when this is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Running {
    pub(crate) fn with(settings: Settings) -> Self {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let folder = bundle();
            let service = Arc::new(Service::new(settings));
            service.load(Model::open(folder.path()).expect("written"), 1).expect("a thread");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("bound")).expect("the test waits");
                let over = async {
                    let _ = ended.await;
                };
                serve(vec![listener], router(Arc::clone(&service)), service, over).await.expect("it serves");
            });
        });
        Running { address: told.recv().expect("it starts"), end: Some(end), thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        stream
    }

    /// Tells it to end, and does not wait.
    pub(crate) fn ask_to_end(&mut self) {
        drop(self.end.take());
    }

    pub(crate) fn end(&mut self) {
        self.ask_to_end();
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok() || thread::panicking(), "the server ends well");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
