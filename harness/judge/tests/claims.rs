//! Each fact of the language: one journal that holds, one that breaks.

use super::*;

/// Judges one expectation after a start; `tell` fills the time before and while it is judged.
fn expect(fact: &str, tell: impl FnOnce(&mut Story)) -> Verdict {
    let steps = format!("- start: agent\n- expect: {fact}");
    let mut story = Story::new();
    story.act().began();
    tell(&mut story);
    story.at(60_000).failed();
    story.judged(&scenario("", &steps))
}

fn always(fact: &str, tell: impl FnOnce(&mut Story)) -> Verdict {
    let mut story = Story::new();
    story.began();
    tell(&mut story);
    story.done();
    story.judged(&scenario(&format!("- {fact}"), "- start: agent"))
}

fn sunny(story: &mut Story) {
    story.paired().at(1000).synchronized();
}

#[test]
fn state_is_reached_in_time() {
    passed(&expect("{ state: Synchronized, within: 2s }", sunny));
    let late = expect("{ state: Synchronized, within: 500ms }", sunny);
    assert_eq!(only_finding(&late).observed, "the state is Connected");
}

#[test]
fn state_stays_for_a_time() {
    let flapping = |story: &mut Story| {
        story.paired().at(1000).synchronized().at(2000);
        let now = story.clock();
        story.written(json!({"status": {
            "connectionState": "SynchronizationFailed",
            "synchronizationStatus": {"lastAttempt": now, "error": "x"},
        }}));
    };
    passed(&expect("{ state: Synchronized, within: 2s, stableFor: 3s }", sunny));
    only_finding(&expect("{ state: Synchronized, within: 2s, stableFor: 3s }", flapping));
    passed(&expect("{ state: Synchronized, within: 2s, stableFor: 500ms }", flapping));
    let stays = |duration| {
        let steps = format!(
            "- waitFor: {{ state: Synchronized }}\n  within: 5s\n- expect: {{ state: {{ staysIn: Synchronized, for: {duration} }} }}"
        );
        let mut story = Story::new();
        story.began();
        sunny(&mut story);
        story.done().began().at(2000);
        let now = story.clock();
        story.fetch().written(json!({"status": {
            "connectionState": "SynchronizationFailed",
            "synchronizationStatus": {"lastAttempt": now, "error": "x"},
        }}));
        story.done();
        story.judged(&scenario("", &steps))
    };
    passed(&stays("500ms"));
    only_finding(&stays("2s"));
}

#[test]
fn facts_beside_each_other_are_true_at_once() {
    let tell = |gap: bool| {
        expect("{ state: Synchronized, applications: { include: orders } }", |story| {
            story.paired().application("mp-orders", ObjectChange::Added);
            if gap {
                story.application("mp-orders", ObjectChange::Deleted);
            }
            story.at(1000).synchronized();
        })
    };
    passed(&tell(false));
    assert_eq!(only_finding(&tell(true)).observed, "no Application");
}

#[test]
fn a_fact_without_a_time_may_take_as_long_as_those_beside_it() {
    let fact =
        "{ transitions: [{ to: Connected, within: 20s }], status: { connectionError: empty } }";
    passed(&expect(fact, |story| {
        story.at(15_000).paired();
    }));
    only_finding(&expect("{ status: { connectionError: empty } }", |story| {
        story.at(15_000).paired();
    }));
}

#[test]
fn status_has_or_has_no_error() {
    let fact = "{ status: { connectionError: empty, synchronizationError: present } }";
    let failing = |story: &mut Story| {
        story.paired();
        let now = story.clock();
        story.written(json!({"status": {
            "connectionState": "SynchronizationFailed",
            "synchronizationStatus": {"lastAttempt": now, "error": "no way"},
        }}));
    };
    passed(&expect(fact, failing));
    only_finding(&expect(fact, sunny));
}

#[test]
fn certificates_are_counted() {
    let renewed = |story: &mut Story| {
        sunny(story);
        story.issued(2, Identity::Certificate { number: 1 });
    };
    passed(&expect("{ certificateIssued: 2 }", renewed));
    only_finding(&expect("{ certificateIssued: 2 }", sunny));
    passed(&always("certificates: { issuedAtMost: 1 }", sunny));
    only_finding(&always("certificates: { issuedAtMost: 1 }", renewed));
    passed(&always("certificates: { issuedAtLeast: 2 }", renewed));
    let few = always("certificates: { issuedAtLeast: 2 }", sunny);
    assert_eq!(only_finding(&few).observed, "certificate 1 is the last that was issued");
}

/// A renewal: certificate 2 is issued at 28 s, when 30 % of certificate 1 is left.
fn renewal(stored: bool, shown: u32) -> impl FnOnce(&mut Story) {
    move |story| {
        story.paired().at(28_500);
        let old = Identity::Certificate { number: 1 };
        story.asked(Peer::Connector, "signCertificateSigningRequest", old.clone()).issued(2, old);
        if stored {
            story.stored(2, 2);
        }
        story.asked(
            Peer::Director,
            "applicationsForRuntime",
            Identity::Certificate { number: shown },
        );
        let now = story.clock();
        story.written(json!({"status": {"connectionStatus": {
            "renewed": now, "lastSync": now, "lastSuccess": now,
            "certificateStatus": reported_at(if stored { 2 } else { 1 }, &now),
        }}}));
    }
}

#[test]
fn a_certificate_arrives_everywhere() {
    let fact = "{ certificate: { number: 2, storedWithin: 1s, usedByNextRequest: true, newKey: true, reportedWithin: 1s, sameIn: [secret, handshake, status] }, within: 40s }";
    passed(&expect(fact, renewal(true, 2)));
    let used = expect(fact, renewal(true, 1));
    assert_eq!(only_finding(&used).observed, "the next request showed certificate 1");
    let stored = expect(fact, renewal(false, 1));
    assert_eq!(only_finding(&stored).observed, "certificate 2 was not stored");
    let same_key = expect("{ certificate: { number: 2, newKey: true } }", |story| {
        let key = facts(1).public_key;
        let other = CertificateFacts { public_key: key, ..facts(2) };
        story.paired().issued_as(2, Identity::Certificate { number: 1 }, other);
    });
    let seen = &only_finding(&same_key).observed;
    assert_eq!(seen, "certificate 2 has the key of certificate 1");
    let none = expect("{ certificate: { number: 2, storedWithin: 1s } }", sunny);
    assert_eq!(only_finding(&none).observed, "certificate 2 was not issued");
    passed(&expect(
        "{ certificate: { number: latest, sameIn: [secret, status] }, within: 30s }",
        |story| {
            renewal(true, 2)(story);
        },
    ));
}

#[test]
fn a_renewal_is_neither_early_nor_late() {
    let fact = |below, above| {
        format!(
            "{{ renewal: {{ of: 1, requestedWhenLifeLeft: {{ below: {below}%, above: {above}% }} }}, within: 40s }}"
        )
    };
    // 10.5 s of 40 s are left: 26 %, and a second is allowed.
    passed(&expect(&fact(30, 20), renewal(true, 2)));
    passed(&expect(&fact(25, 20), renewal(true, 2)));
    let early = expect(&fact(20, 10), renewal(true, 2));
    assert!(only_finding(&early).observed.starts_with("a renewal too early, with 10.5 s of 40 s"));
    let late = expect(&fact(60, 50), renewal(true, 2));
    assert!(only_finding(&late).observed.starts_with("a renewal too late"));
    only_finding(&expect(&fact(30, 20), sunny));
}

#[test]
fn requests_come_or_do_not() {
    let fact = "{ requests: { to: director, operation: applications, within: 2s } }";
    passed(&expect(fact, sunny));
    only_finding(&expect(fact, |story| {
        story.paired();
    }));
    let steps = "- start: agent\n- expect: { state: Connected }\n- ask: resyncNow\n- expect: { requests: { to: director, within: 2s } }";
    let mut story = Story::new();
    // The request from before the question does not answer it.
    story.act().began().paired().fetch().done().act().began().at(9000).failed();
    only_finding(&story.judged(&scenario("", steps)));
    let mut story = Story::new();
    story.act().began().paired().done().began().fetch().done().began().done();
    passed(&story.judged(&scenario("", steps)));
}

#[test]
fn requests_are_forbidden_before_a_moment() {
    let fact = "requests: { to: director, none: true, before: firstConnected }";
    passed(&always(fact, sunny));
    let early = always(fact, |story| {
        story.fetch().paired();
    });
    assert_eq!(only_finding(&early).observed, "a request for applicationsForRuntime at compass");
    let never_connected = always(fact, |story| {
        story.fetch();
    });
    only_finding(&never_connected);
    // The agent writes `Connected` and goes on at once; the watch brings the revision later.
    let mut story = Story::new();
    story.began().paired();
    let (revision, answer) = (story.entries.len() - 2, story.entries.len() - 1);
    story.fetch().done();
    let order: Vec<usize> = (0..revision).chain(answer..story.entries.len() - 1).collect();
    let mut late: Vec<Event> = order.iter().map(|n| story.entries[*n].event.clone()).collect();
    late.push(story.entries[revision].event.clone());
    late.push(story.entries[story.entries.len() - 1].event.clone());
    for (entry, event) in story.entries.iter_mut().zip(late) {
        *entry = Arc::new(Entry { event, ..**entry });
    }
    passed(&story.judged(&scenario(&format!("- {fact}"), "- start: agent")));
}

#[test]
fn requests_are_limited_in_a_stretch_of_time() {
    let fact = "requests: { to: [connector, director], atMost: 2, per: 1s }";
    passed(&always(fact, |story| {
        story.at(0).fetch().at(900).fetch().at(1500).fetch().at(2600).fetch();
    }));
    let fast = always(fact, |story| {
        story.at(0).fetch().at(300).fetch().at(900).fetch();
    });
    assert_eq!(only_finding(&fast).observed, "3 requests within 1.0 s");
}

#[test]
fn requests_carry_their_headers() {
    let fact = |header| format!("requests: {{ to: director, allHave: {header} }}");
    passed(&always(&fact("x-request-id"), sunny));
    let untold = always(&fact("tenant"), sunny);
    assert!(only_finding(&untold).observed.ends_with("without tenant"));
}

#[test]
fn a_token_is_used_once() {
    let twice = |story: &mut Story| {
        let spent = Identity::RefusedToken { number: Some(1), reason: "used".into() };
        story.paired().asked(Peer::Connector, "configuration", spent);
    };
    passed(&always("token: { usedAtMost: 1 }", sunny));
    let worn = always("token: { usedAtMost: 1 }", twice);
    assert_eq!(only_finding(&worn).observed, "token 1 was used 2 times");
}

#[test]
fn secrets_do_not_disappear() {
    let fact = "secrets: { neverMissing: client-certificate, since: firstConnected }";
    passed(&always(fact, sunny));
    let gone = always(fact, |story| {
        story.paired();
        let revision = story.object(terms().client_certificate, ObjectChange::Deleted, json!({}));
        story.push(revision);
    });
    assert_eq!(only_finding(&gone).observed, "client-certificate is not there");
    passed(&expect("{ secrets: { present: client-certificate } }", sunny));
    let absent = expect("{ secrets: { present: [client-certificate, ca-certificate] } }", sunny);
    assert_eq!(only_finding(&absent).observed, "ca-certificate missing");
}

#[test]
fn applications_are_compared_by_the_rules_of_names() {
    let tell = |names: &'static [&'static str]| {
        move |story: &mut Story| {
            for name in names {
                story.application(name, ObjectChange::Added);
            }
        }
    };
    passed(&expect(
        "{ applications: { exactly: [orders, billing] } }",
        tell(&["mp-billing", "mp-orders"]),
    ));
    let more =
        expect("{ applications: { exactly: [orders] } }", tell(&["mp-billing", "mp-orders"]));
    assert_eq!(only_finding(&more).observed, "mp-billing and mp-orders");
    passed(&expect("{ applications: { count: 2 } }", tell(&["mp-billing", "mp-orders"])));
    passed(&expect("{ applications: { include: orders } }", tell(&["mp-billing", "mp-orders"])));
    passed(&expect(
        "{ applications: { include: [Orders!, mp-refunds] } }",
        tell(&["mp-orders", "mp-refunds"]),
    ));
}

#[test]
fn applications_are_not_lost_or_touched() {
    let losing = |story: &mut Story| {
        story
            .application("a", ObjectChange::Added)
            .application("b", ObjectChange::Added)
            .paired()
            .synchronized()
            .application("a", ObjectChange::Deleted);
    };
    let fact =
        |least| format!("applications: {{ neverFewerThan: {least}, since: firstSynchronized }}");
    passed(&always(&fact(1), losing));
    assert_eq!(only_finding(&always(&fact(2), losing)).observed, "1 Applications");
    passed(&always("applications: { unchanged: true }", sunny));
    let touched = always("applications: { unchanged: true }", losing);
    assert_eq!(only_finding(&touched).observed, "a was created");
}

#[test]
fn labels_are_set_and_flags_go() {
    let fact = "{ runtimeLabels: { set: [a, b], within: 1s } }";
    let set = |key: &str| LandscapeEvent::RuntimeLabel { key: key.into(), value: json!("x") };
    passed(&expect(fact, |story| {
        story.push(set("a")).push(set("b"));
    }));
    let half = expect(fact, |story| {
        story.push(set("a"));
    });
    assert_eq!(only_finding(&half).observed, "b not set");
    let steps = "- start: agent\n- expect: { state: Synchronized }\n- ask: resyncNow\n- expect: { flags: { resyncNow: gone } }";
    let mut story = Story::new();
    story.act().began().paired().synchronized().done().began();
    story.connection(json!({"spec": {"resyncNow": true}})).done().began().fetch();
    story.written(json!({"spec": {"resyncNow": null}})).done();
    passed(&story.judged(&scenario("", steps)));
    let mut story = Story::new();
    story.act().began().paired().synchronized().done().began();
    story.connection(json!({"spec": {"resyncNow": true}})).done().began().at(9000).failed();
    let kept = story.judged(&scenario("", steps));
    assert_eq!(only_finding(&kept).observed, "resyncNow is set and refreshNow is gone");
}

#[test]
fn the_agent_does_not_end_by_itself() {
    let exit = |planned| {
        move |story: &mut Story| {
            story.push(AgentEvent::Exited { code: Some(2), signal: None, planned });
        }
    };
    passed(&always("agent: { unplannedRestarts: 0 }", exit(true)));
    only_finding(&always("agent: { unplannedRestarts: 0 }", exit(false)));
    only_finding(&always("state: { never: [ConnectionFailed] }", exit(false)));
    passed(&always("agent: { unplannedRestarts: 1 }", exit(false)));
}

#[test]
fn a_fault_can_be_waited_for() {
    let steps = "- inject: { id: down, at: director, fault: tcp.refuse }\n- waitFor: { faults: { fired: down } }\n  within: 5s";
    let mut story = Story::new();
    story.began().armed("down").done().began().fired("down").done();
    passed(&story.judged(&scenario("", steps)));
    let mut story = Story::new();
    story.began().armed("down").done().began().at(7000).failed();
    assert_eq!(only_finding(&story.judged(&scenario("", steps))).observed, "down did not fire");
}
