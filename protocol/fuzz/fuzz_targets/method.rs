//! The payload of a method frame. What parses must mean the same when it is encoded and parsed again.
//!
//!     cargo +nightly fuzz run method fuzz/corpus/method fuzz/seeds/method
#![no_main]

use lepus_protocol::{ChannelId, Frame, Method, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|payload: &[u8]| {
    let Ok(method) = Method::parse(payload) else { return };
    let channel = ChannelId::new(1);
    let mut out = Vec::new();
    method.encode(channel, &mut out);
    match decode(&out, 0) {
        Ok(Some((Frame::Method { channel: on, payload: again }, length))) => {
            assert_eq!((on, length), (channel, out.len()));
            // Debug forms, since a NaN in a table is unlike itself.
            assert_eq!(format!("{:?}", Method::parse(again)), format!("{:?}", Ok::<_, ()>(method)));
        }
        other => panic!("{method:?} became {other:?}"),
    }
});
