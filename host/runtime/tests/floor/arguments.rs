//! What a process costs its tenant while it is started.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Notify;
use whelk_runtime::{Facts, Limits, Lookup, Plugins, ProgramRequest};

use crate::client::Client;
use crate::guests::FixedPlugins;
use crate::processes::{program, tenant};

/// A program table whose program `slow` is never ready.
struct Slow {
    table: FixedPlugins,
    /// It was asked for.
    asked: Arc<Notify>,
}

impl Plugins for Slow {
    fn lookup(&self, name: &str) -> Lookup {
        self.table.lookup(name)
    }

    fn route(&self, request: &ProgramRequest<'_>) -> Option<String> {
        self.table.route(request)
    }

    fn program<'a>(&'a self, name: &'a str) -> Pin<Box<dyn Future<Output = Lookup> + Send + 'a>> {
        Box::pin(async move {
            if name == "slow" {
                self.asked.notify_one();
                pending::<()>().await;
            }
            self.lookup(name)
        })
    }
}

#[tokio::test]
async fn arguments_are_charged_while_a_program_is_not_ready() {
    const BYTES: usize = 1_000_000;
    let mut memory = Vec::new();
    // The same memory of the program itself, with and without arguments in flight.
    for name in ["nothing", "slow"] {
        for start in ["run a", "exec-program"] {
            let (acme, asked) = (tenant("acme", Limits::default()), Arc::new(Notify::new()));
            let table = FixedPlugins { plugins: vec![program()], ..FixedPlugins::default() };
            let table: Arc<dyn Plugins> = Arc::new(Slow { table, asked: Arc::clone(&asked) });
            let facts = Facts::from_iter([("user", "somebody")]).on_channel(7);
            let mut client = Client::started(&acme, &table, &program(), String::new(), facts);
            client.run(&format!("'with-bytes {BYTES};{start} nothing;with-bytes {BYTES};{start} {name};print x;cat'"));
            match name {
                "slow" => asked.notified().await,
                _ => client.until(|recorder| recorder.text().ends_with("x\n")).await,
            }
            memory.push(acme.memory());
            client.task.abort();
            assert!(client.task.await.is_err());
        }
    }
    assert!(memory[2] >= memory[0] + BYTES && memory[3] >= memory[1] + BYTES, "{memory:?}");
}
