//! Watches through the Kubernetes door: frame by frame, without delay, and ending on both sides.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::gateway_rig::{Rig, rest, soon};

const WATCH: &str = "/api/v1/secrets?watch=1&resourceVersion=41";

fn event(number: usize) -> String {
    format!("{{\"type\":\"ADDED\",\"object\":{{\"n\":{number}}}}}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_frame_comes_at_once_and_alone() {
    let rig = Rig::open().await;
    for client in [rig.client(), rig.http1_client()] {
        // The head comes before the first frame.
        let mut answer = soon("the head", client.get(rig.url("kubernetes", WATCH)).send())
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let watch = rig.backend.next_watch().await;
        let mut times = Vec::new();
        for number in 0..51 {
            let begun = Instant::now();
            watch.send(&event(number)).await;
            let frame = soon("a frame", answer.chunk()).await.expect("a frame").expect("no end");
            times.push(begun.elapsed());
            assert_eq!(frame, Bytes::from(event(number)));
        }
        times.sort();
        // Nagle and delayed acknowledgements together would cost 40 ms a frame.
        assert!(times[25] < Duration::from_millis(20), "{times:?}");
        drop(watch);
        assert_eq!(rest(&mut answer).await.expect("a clean end"), "");
    }
    assert!(rig.answers().iter().all(|answer| answer.status == Some(200)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_behind_when_the_client_goes_away() {
    let rig = Rig::open().await;
    for client in [rig.client(), rig.http1_client()] {
        let mut answer = client.get(rig.url("kubernetes", WATCH)).send().await.expect("an answer");
        let watch = rig.backend.next_watch().await;
        watch.send(&event(1)).await;
        assert!(soon("a frame", answer.chunk()).await.expect("a frame").is_some());
        drop(answer);
        drop(client);
        soon("the end of the watch behind", watch.frames.closed()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_watches_end_cleanly_at_stop() {
    let rig = Rig::open().await;
    let mut open = Vec::new();
    for client in [rig.client(), rig.http1_client()] {
        let answer = client.get(rig.url("kubernetes", WATCH)).send().await.expect("an answer");
        open.push((client, answer, rig.backend.next_watch().await));
    }
    let begun = Instant::now();
    rig.gateway.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    for (_client, mut answer, watch) in open {
        assert_eq!(rest(&mut answer).await.expect("a clean end"), "");
        soon("the end of the watch behind", watch.frames.closed()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_holds_the_server_back() {
    let rig = Rig::open().await;
    let answer = rig.http1_client().get(rig.url("kubernetes", WATCH)).send().await;
    let answer = answer.expect("an answer");
    let watch = rig.backend.next_watch().await;
    let frame = Bytes::from(vec![b'x'; 256 * 1024]);
    let mut sent = 0;
    // Buffers of sockets hold some megabytes; a gateway that hoards would take all of this.
    while sent < 400 {
        let send = watch.frames.send(frame.clone());
        match tokio::time::timeout(Duration::from_millis(500), send).await {
            Ok(sending) => sending.expect("the watch is open"),
            Err(_) => break,
        }
        sent += 1;
    }
    assert!(sent < 400, "the server could send {sent} frames to a client that reads none");
    drop(answer);
    soon("the end of the watch behind", watch.frames.closed()).await;
}
