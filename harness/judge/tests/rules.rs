//! The rules for every run: one journal that keeps each, one that breaks it.

use super::*;

fn run(tell: impl FnOnce(&mut Story)) -> Verdict {
    let mut story = Story::new();
    story.began();
    tell(&mut story);
    story.done();
    story.judged(&scenario("", "- start: agent"))
}

/// What was observed against a rule; everything else must hold.
fn breach(id: &str, verdict: &Verdict) -> String {
    let all: Vec<&Finding> = verdict.findings.iter().chain(&verdict.remarks).collect();
    let of: Vec<&&Finding> =
        all.iter().filter(|one| one.requirement.as_deref() == Some(id)).collect();
    assert_eq!(of.len(), 1, "{all:#?}");
    assert_eq!(verdict.requirements[id], RequirementResult::Broken);
    of[0].observed.clone()
}

fn renewal_without_report(story: &mut Story) {
    let old = Identity::Certificate { number: 1 };
    story.issued(2, old).stored(2, 2);
}

#[test]
fn a_good_run_keeps_all_rules() {
    let verdict = run(|story| {
        story.paired().at(2000).synchronized().at(4000).synchronized();
        story.connection(
            json!({"spec": {"refreshCredentialsNow": true}, "metadata": {"labels": {"a": "b"}}}),
        );
        renewal_without_report(story);
        let now = story.clock();
        story.fetch().written(json!({
            "spec": {"refreshCredentialsNow": null},
            "status": {
                "connectionStatus": {
                    "renewed": now, "lastSync": now, "lastSuccess": now,
                    "certificateStatus": reported_at(2, &now),
                },
                "synchronizationStatus": {
                    "lastAttempt": now, "lastSuccessfulFetch": now, "lastSuccessfulApplication": now,
                },
            },
        }));
    });
    passed(&verdict);
    assert!(verdict.remarks.is_empty(), "{:#?}", verdict.remarks);
    for number in 1..=11 {
        let id = format!("STAT-{number:02}");
        assert_eq!(verdict.requirements[&id], RequirementResult::Held, "{id}");
    }
}

#[test]
fn stat_01_the_object_is_valid() {
    let state = run(|story| {
        story.paired().connection(json!({"status": {"connectionState": "Fine"}}));
    });
    assert_eq!(breach("STAT-01", &state), "the state `Fine`");
    let kind = run(|story| {
        story.paired().connection(json!({"spec": {"resyncNow": "yes"}}));
    });
    assert_eq!(breach("STAT-01", &kind), "`spec.resyncNow` is no boolean");
    let time = run(|story| {
        let status = json!({"status": {"connectionStatus": {"lastSync": "yesterday"}}});
        story.paired().connection(status);
    });
    assert_eq!(
        breach("STAT-01", &time),
        "`status.connectionStatus.lastSync` is no time: `yesterday`"
    );
}

#[test]
fn stat_02_no_time_goes_back() {
    let back = run(|story| {
        story.at(60_000).paired();
        story.connection(json!({"status": {"connectionStatus": {
            "lastSync": "2026-04-11T12:00:30Z", "lastSuccess": "2026-04-11T12:00:30Z",
        }}}));
    });
    assert!(breach("STAT-02", &back).starts_with("lastSync goes back"));
    let again = run(|story| {
        story.paired();
        let renewed = "2026-04-11T12:00:01Z";
        story.connection(json!({"status": {"connectionStatus": {
            "renewed": renewed, "certificateStatus": reported_at(1, renewed),
        }}}));
        story.issued(2, Identity::Token { number: 1 }).stored(2, 2);
        story.connection(json!({"status": {"connectionStatus": {
            "established": "2026-04-11T12:00:09Z", "renewed": null, "certificateStatus": reported(2),
        }}}));
    });
    passed(&again);
    let new_object = run(|story| {
        story.at(60_000).paired().deleted();
        story.push(TokenEvent::Issued { number: 3, client_id: "c".into(), by: "operator".into() });
        story.issued(2, Identity::Token { number: 3 }).stored(2, 2);
        let earlier = "2026-04-11T12:00:30Z";
        story.connection(json!({"status": {"connectionStatus": {
            "established": earlier, "lastSync": earlier, "lastSuccess": earlier,
            "certificateStatus": reported_at(2, earlier),
        }}}));
    });
    passed(&new_object);
}

#[test]
fn stat_03_times_are_in_order() {
    let fetch = run(|story| {
        story.paired().connection(json!({"status": {"synchronizationStatus": {
            "lastAttempt": "2026-04-11T12:00:10Z",
            "lastSuccessfulFetch": "2026-04-11T12:00:12Z",
        }}}));
    });
    assert!(breach("STAT-03", &fetch).starts_with("lastSuccessfulFetch"));
    let grain = run(|story| {
        story.paired().connection(json!({"status": {"synchronizationStatus": {
            "lastAttempt": "2026-04-11T12:00:10Z",
            "lastSuccessfulFetch": "2026-04-11T12:00:11Z",
        }}}));
    });
    passed(&grain);
}

#[test]
fn stat_04_a_failure_has_its_error() {
    let silent = run(|story| {
        let now = story.clock();
        story.paired().connection(json!({"status": {
            "connectionState": "SynchronizationFailed",
            "connectionStatus": {"error": "elsewhere"},
            "synchronizationStatus": {"lastAttempt": now},
        }}));
    });
    assert!(breach("STAT-04", &silent).contains("without synchronizationStatus.error"));
}

#[test]
fn stat_05_synchronized_is_earned() {
    let error = run(|story| {
        story.paired().synchronized();
        story.connection(json!({"status": {"synchronizationStatus": {"error": "x"}}}));
    });
    assert!(breach("STAT-05", &error).contains("with the error"));
    let claimed = run(|story| {
        story.paired().synchronized().at(9000);
        let now = story.clock();
        story.written(json!({"status": {"synchronizationStatus": {
            "lastAttempt": now, "lastSuccessfulFetch": now, "lastSuccessfulApplication": now,
        }}}));
    });
    assert!(breach("STAT-05", &claimed).contains("answered no question"));
    let stale = run(|story| {
        story.paired().synchronized().at(9000).fetch();
        let now = story.clock();
        story.written(json!({"status": {"synchronizationStatus": {"lastAttempt": now}}}));
    });
    assert!(breach("STAT-05", &stale).contains("not the last successful fetch"));
    passed(&run(|story| {
        story.paired().synchronized().connection(json!({"spec": {"resyncNow": true}}));
    }));
}

#[test]
fn stat_06_is_a_remark() {
    let verdict = run(|story| {
        story.paired().synchronized();
        story.connection(json!({"status": {"connectionStatus": {"error": "old"}}}));
    });
    assert!(breach("STAT-06", &verdict).contains("`old`"));
    assert_eq!(verdict.judgement, Judgement::Passed);
}

#[test]
fn stat_07_the_status_describes_the_stored_certificate() {
    let invented = run(|story| {
        story.paired();
        story.connection(json!({"status": {"connectionStatus": {"certificateStatus": {
            "notBefore": "2026-04-11T12:00:00Z", "notAfter": "2027-04-11T12:00:00Z",
        }}}}));
    });
    assert!(breach("STAT-07", &invented).contains("certificate 1 is stored"));
    // Between the Secret and the report other hands may write, and the agent may be cut off once.
    passed(&run(|story| {
        story.paired();
        renewal_without_report(story);
        story.connection(json!({"metadata": {"labels": {"a": "b"}}}));
        story
            .written(json!({"status": {"connectionStatus": {"lastSync": "2026-04-11T12:00:02Z"}}}));
    }));
    let never_told = run(|story| {
        story.paired();
        renewal_without_report(story);
        for second in 2..4 {
            let now = format!("2026-04-11T12:00:0{second}Z");
            story.written(json!({"status": {"connectionStatus": {"lastSync": now}}}));
        }
    });
    assert!(breach("STAT-07", &never_told).contains("certificate 2 is stored"));
    let old_on_the_wire = run(|story| {
        story.paired();
        renewal_without_report(story);
        story.written(json!({"status": {"connectionStatus": {"certificateStatus": reported(2)}}}));
        story.fetch();
    });
    assert!(breach("STAT-07", &old_on_the_wire).contains("showed certificate 1"));
}

#[test]
fn stat_08_only_legal_transitions() {
    let skipped = run(|story| {
        story.fetch().state("Synchronized");
    });
    assert_eq!(breach("STAT-08", &skipped), "from absent to Synchronized");
    let fallen = run(|story| {
        story.paired().state("ConnectionFailed");
    });
    assert_eq!(breach("STAT-08", &fallen), "from Connected to ConnectionFailed");
    passed(&run(|story| {
        story.paired();
        story.push(TokenEvent::Issued { number: 2, client_id: "c".into(), by: "operator".into() });
        story.state("ConnectionFailed");
    }));
    let unfounded = run(|story| {
        story.paired().state("ConnectionMaintenanceFailed").state("Connected");
    });
    assert!(breach("STAT-08", &unfounded).ends_with("nothing was established"));
}

#[test]
fn stat_09_no_secret_is_told() {
    let verdict = run(|story| {
        story.paired().state("ConnectionMaintenanceFailed");
        story.connection(
            json!({"status": {"connectionStatus": {"error": "token [hidden] refused"}}}),
        );
    });
    assert_eq!(breach("STAT-09", &verdict), "a secret in `status.connectionStatus.error`");
}

#[test]
fn stat_10_the_agent_writes_only_its_own() {
    for (patch, words) in [
        (json!({"metadata": {"labels": {"theirs": null}}}), "the agent changed the label `theirs`"),
        (
            json!({"metadata": {"annotations": {"mine": "x"}}}),
            "the agent changed the annotation `mine`",
        ),
        (json!({"spec": {"resyncNow": true}}), "the agent changed `spec.resyncNow`"),
        (json!({"spec": {"extra": 1}}), "the agent changed `spec.extra`"),
    ] {
        let verdict = run(|story| {
            story.paired().connection(json!({"metadata": {"labels": {"theirs": "x"}}}));
            story.written(patch.clone());
        });
        assert_eq!(breach("STAT-10", &verdict), words);
        // The same by other hands is their right.
        passed(&run(|story| {
            story.paired().connection(json!({"metadata": {"labels": {"theirs": "x"}}}));
            story.connection(patch);
        }));
    }
    passed(&run(|story| {
        story.paired().connection(json!({"spec": {"resyncNow": true}}));
        story.written(json!({"spec": {"resyncNow": null}}));
    }));
}

#[test]
fn stat_10_holds_whichever_comes_first_answer_or_revision() {
    let mut story = Story::new();
    story.began().paired().written(json!({"metadata": {"labels": {"mine": "x"}}})).done();
    let (revision, answer) = (story.entries.len() - 3, story.entries.len() - 2);
    let swap = |a: usize, b: usize| {
        Arc::new(Entry { event: story.entries[b].event.clone(), ..(*story.entries[a]).clone() })
    };
    let (first, second) = (swap(revision, answer), swap(answer, revision));
    story.entries[revision] = first;
    story.entries[answer] = second;
    let verdict = story.judged(&scenario("", "- start: agent"));
    breach("STAT-10", &verdict);
}

#[test]
fn stat_11_is_a_remark() {
    let maintained = |story: &mut Story| {
        let now = story.clock();
        let times = json!({"lastSync": now, "lastSuccess": now});
        story.written(json!({"status": {"connectionStatus": times}}));
    };
    let twice = run(|story| {
        story.paired().at(2000).synchronized().at(4000);
        maintained(story);
        story.synchronized();
    });
    assert_eq!(breach("STAT-11", &twice), "two writes in one unchanged round");
    assert_eq!(twice.judgement, Judgement::Passed);
    // Rounds that end after the Connector are rounds of their own.
    let failing = run(|story| {
        story.paired().at(2000).synchronized().at(4000).state("ConnectionMaintenanceFailed");
        for second in 5..9 {
            let now = story.at(second * 1000).clock();
            story.written(json!({"status": {"connectionStatus": {"lastSync": now}}}));
        }
    });
    passed(&failing);
    assert!(failing.remarks.is_empty(), "{:#?}", failing.remarks);
}

#[test]
fn conn_06_establishing_is_told_at_one_time() {
    let verdict = run(|story| {
        let now = "2026-04-11T12:00:05Z";
        story.issued(1, Identity::Token { number: 1 }).stored(1, 1);
        story.connection(json!({"status": {"connectionStatus": {
            "established": now, "lastSync": now, "lastSuccess": "2026-04-11T12:00:01Z",
            "certificateStatus": reported_at(1, now),
        }}}));
    });
    let seen = breach("CONN-06", &verdict);
    assert_eq!(seen, "`Connected`, and lastSuccess is not the time of `established`");
}

#[test]
fn cert_03_renewing_is_told_at_one_time() {
    let verdict = run(|story| {
        story.paired();
        let renewed = "2026-04-11T12:00:09Z";
        story.connection(json!({"status": {"connectionStatus": {"renewed": renewed}}}));
    });
    assert!(breach("CERT-03", &verdict).starts_with("renewed at 2026-04-11T12:00:09Z"));
}

#[test]
fn sync_01_a_complete_round_is_told_at_one_time() {
    let verdict = run(|story| {
        story.paired().synchronized().at(9000).fetch();
        let now = story.clock();
        story.written(json!({"status": {"synchronizationStatus": {
            "lastAttempt": now, "lastSuccessfulFetch": now,
        }}}));
    });
    breach("SYNC-01", &verdict);
}

#[test]
fn cert_05_key_and_certificate_belong_together() {
    let verdict = run(|story| {
        story.paired().issued(2, Identity::Certificate { number: 1 }).stored(2, 1);
    });
    breach("CERT-05", &verdict);
}

#[test]
fn a_rule_that_is_broken_often_is_told_once() {
    let verdict = run(|story| {
        story.paired();
        for _ in 0..5 {
            story.connection(json!({"status": {"connectionState": "Fine"}}));
        }
    });
    breach("STAT-01", &verdict);
    assert_eq!(verdict.findings[0].times, 5);
}

#[test]
fn cert_07_a_failed_maintenance_keeps_the_last_success() {
    let failed = |success: &str| {
        run(|story| {
            story.paired().at(4000);
            let now = story.clock();
            let mut connection = json!({"lastSync": now, "error": "no way"});
            if success == "now" {
                connection["lastSuccess"] = json!(now);
            }
            story.written(json!({"status": {
                "connectionState": "ConnectionMaintenanceFailed", "connectionStatus": connection,
            }}));
        })
    };
    passed(&failed("kept"));
    assert_eq!(
        breach("CERT-07", &failed("now")),
        "`ConnectionMaintenanceFailed`, and lastSuccess is not what it was"
    );
}

#[test]
fn sync_04_a_failed_fetch_is_no_successful_one() {
    let failed = |fetch: &str| {
        run(|story| {
            story.paired().synchronized().at(4000);
            let now = story.clock();
            let mut synchronization = json!({"lastAttempt": now, "error": "no way"});
            if fetch == "now" {
                synchronization["lastSuccessfulFetch"] = json!(now);
            }
            story.written(json!({"status": {
                "connectionState": "SynchronizationFailed", "synchronizationStatus": synchronization,
            }}));
        })
    };
    passed(&failed("kept"));
    assert_eq!(
        breach("SYNC-04", &failed("now")),
        "`SynchronizationFailed`, and lastSuccessfulFetch is not what it was"
    );
}

#[test]
fn res_01_an_agent_ends_when_it_is_asked_to() {
    let told = |signals: &'static [&'static str]| {
        move |story: &mut Story| {
            story.push(AgentEvent::Started { number: 1, pid: 1 }).paired();
            for signal in signals {
                story.push(AgentEvent::Told { signal: (*signal).into() });
            }
            story.push(AgentEvent::Exited { code: None, signal: Some(9), planned: true });
        }
    };
    passed(&run(told(&["SIGTERM"])));
    passed(&run(told(&["SIGKILL"])));
    assert!(breach("RES-01", &run(told(&["SIGTERM", "SIGKILL"]))).contains("grace period"));
}
