//! Authentication (RFC 4252): the rows U1 to U40 of the threat list that concern this layer, both machines back to
//! back, and random bytes. No transport: payloads go in, payloads come out.

mod certificates;
mod door;
mod hostile;
mod interactive;
mod limits;
mod pair;
mod password_change;
mod rubbish;
