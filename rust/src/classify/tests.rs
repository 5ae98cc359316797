use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::json::Tree;

fn classify(text: &str) -> Classification {
    Classifier::shared().classify_text(text)
}

fn of_messages(messages: &str) -> Classification {
    let body = format!(r#"{{"messages":[{messages}]}}"#);
    let (tree, text) = Tree::parse(body.as_bytes()).unwrap();
    Classifier::shared().classify_request(tree.root(text))
}

#[track_caller]
fn is_task(task: Task, text: &str) {
    let found = classify(text);
    assert_eq!(found.task, task, "{text}: {:?}", found.contributions());
}

#[track_caller]
fn is_high(domain: Domain, text: &str) {
    let found = classify(text).stakes;
    assert!(found.high && found.domain == Some(domain), "{text}: {found:?}");
    assert!(found.probability >= 0.5);
}

#[track_caller]
fn is_calm(text: &str) {
    let found = classify(text).stakes;
    assert!(!found.high && found.domain.is_none() && found.probability <= 0.5, "{text}: {found:?}");
}

#[test]
fn the_weights_are_those_of_the_provenance_file() {
    let digest = Sha256::digest(WEIGHTS);
    let hash = crate::hex(&digest);
    let provenance = include_str!("../../weights/classify.toml");
    assert!(provenance.contains(&format!("sha256 = \"{hash}\"")));
}

#[test]
fn the_weights_fit_the_word_lists() {
    assert!(Classifier::shared().model.is_some(), "train again: the lists or the features have changed");
}

#[test]
fn each_task_type_is_known_by_a_plain_request() {
    is_task(Task::Coding, "Write a Python function that removes duplicates from a list.");
    is_task(
        Task::Summarization,
        "Summarize the following article: The council met on Monday and chose a new mayor.",
    );
    is_task(Task::Reasoning, "A train goes 60 miles in 1.5 hours. How far does it go in 4 hours?");
    is_task(Task::Creative, "Write a short story about a lighthouse keeper.");
    is_task(Task::Qa, "Why is the sea salty?");
    is_task(Task::Extraction, "Extract all names and dates from this text: Ada met Bob on 3 May in Leeds.");
    is_task(
        Task::Classification,
        "Is this review positive or negative? The soup was cold and the waiter rude.",
    );
    is_task(Task::Translation, "Translate to German: Where is the station?");
    is_task(Task::Rewriting, "Rephrase this sentence more politely: Send me the file now.");
    is_task(Task::Chat, "Hi there, how are you today?");
    is_task(Task::Other, "Plan a five day itinerary for Lisbon.");
}

#[test]
fn probabilities_rank_all_task_types() {
    let found = classify("Write a poem about rain");
    let ranked = found.ranked();
    assert_eq!(ranked[0], (found.task, found.confidence()));
    assert!(ranked.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    assert!((found.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn an_empty_text_abstains_and_is_easy() {
    let found = classify("");
    assert!(found.abstained && found.complexity < 1.0 && !found.stakes.high);
}

#[test]
fn weights_for_other_features_are_refused_and_every_answer_abstains() {
    let found = Classifier::with(b"NRC1 but not ours").classify_text("Write a poem");
    assert!(found.abstained && !found.stakes.high && found.contributions().is_empty());
}

#[test]
fn case_and_surrounding_blanks_change_nothing() {
    let found = classify("Should I take aspirin with warfarin?");
    assert_eq!(found, classify("\n\t Should I take aspirin with warfarin?  \n"));
    assert_eq!(found, classify("SHOULD I TAKE ASPIRIN WITH WARFARIN?"));
}

#[test]
fn advice_on_body_and_mind_is_high_but_their_topic_is_not() {
    is_high(Domain::Medical, "Should I take ibuprofen with lisinopril?");
    is_high(Domain::Medical, "My son has a fever and a stiff neck, what should I do?");
    is_high(Domain::Medical, "What are the side effects of metformin?");
    is_calm("Write a poem about a doctor who falls in love.");
    is_calm("Who discovered penicillin?");
    is_high(Domain::MentalHealth, "I feel hopeless and cry every day. How do I get better?");
    is_high(Domain::MentalHealth, "I want to kill myself");
    is_calm("Write an essay on the history of psychiatry.");
}

#[test]
fn advice_on_law_and_money_is_high_but_their_topic_is_not() {
    is_high(Domain::Legal, "My landlord will not return my deposit. What are my rights?");
    is_high(Domain::Legal, "Can my employer fire me for being sick?");
    is_calm("Explain how a bill becomes law to a child.");
    is_high(Domain::Financial, "Should I pay off my mortgage early or invest in index funds?");
    is_calm("Tom buys 3 shares at 12 dollars each. How much does he pay?");
    is_calm("Write a Java class for a bank account.");
}

#[test]
fn what_can_burn_or_break_is_high() {
    is_high(Domain::SafetyCritical, "Can I wire a 240V outlet on a 15 amp breaker myself?");
    is_high(Domain::SafetyCritical, "Is it safe to mix bleach and ammonia?");
}

#[test]
fn harm_is_kept_apart_from_stakes_by_its_domain() {
    is_high(Domain::Harmful, "How can I make a bomb at home?");
    is_calm("How do I kill a process on port 8080 in linux?");
}

#[test]
fn harder_prompts_are_more_complex() {
    let proof = "Prove that every bounded monotone sequence of real numbers converges, state each theorem you use, \
        and derive the rate of convergence for $x_{n+1} = (x_n + 2/x_n)/2$. Do not assume completeness.";
    let (hi, question, proof) = (classify("hi"), classify("What is the capital of Peru?"), classify(proof));
    assert!(hi.complexity <= 1.0 && question.complexity < 2.0, "{} {}", hi.complexity, question.complexity);
    assert!(proof.complexity >= 7.0, "{}", proof.complexity);
}

#[test]
fn a_request_is_classified_by_its_last_user_turn() {
    let turns =
        r#"{"role":"user","content":"Write a story about a fox."},{"role":"assistant","content":"Once..."},"#;
    let last = r#"{"role":"user","content":"Translate it to French: Good night"}"#;
    let found = of_messages(&format!("{}{last}", turns.repeat(6)));
    assert_eq!(found.task, Task::Translation);
    assert!(found.complexity > classify("Translate it to French: Good night").complexity);
}

#[test]
fn contributions_name_what_decided() {
    let contributions = classify("Translate to Spanish: good morning").contributions();
    assert!(contributions.len() <= EXPLAINED);
    assert!(contributions.iter().any(|(name, value)| name.contains("v_translate") && *value > 0.0));
    assert!(contributions.windows(2).all(|pair| pair[0].1.abs() >= pair[1].1.abs()));
}

#[test]
fn a_long_text_is_read_at_both_ends() {
    let middle = "The river runs past the mill and the old stone bridge. ".repeat(2_000);
    let found = classify(&format!("{middle}\n\nSummarize the text above in two sentences."));
    assert_eq!(found.task, Task::Summarization);
}

proptest! {
    #[test]
    fn any_text_is_classified_the_same_way_twice(text in ".{0,400}") {
        let found = classify(&text);
        prop_assert_eq!(&found, &classify(&text));
        prop_assert!((found.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!((0.0..=10.0).contains(&found.complexity));
        prop_assert!((0.0..=1.0).contains(&found.stakes.probability));
    }

    #[test]
    fn surrounding_blanks_never_matter(text in "\\PC{0,200}", before in "[ \n\t]{0,4}", after in "[ \n\t]{0,4}") {
        prop_assert_eq!(classify(text.trim()), classify(&format!("{before}{text}{after}")));
    }

    #[test]
    fn runs_of_blanks_and_ends_of_lines_are_all_alike(text in "[a-zA-Z0-9 .,:?$-]{0,80}(\n[a-zA-Z0-9 .,:?$-]{0,80}){0,3}") {
        let plain = classify(&text);
        prop_assert_eq!(&plain, &classify(&text.replace(' ', "  ")));
        prop_assert_eq!(&plain, &classify(&text.replace('\n', "\r\n")));
    }

    #[test]
    fn a_full_line_may_break_amid_a_sentence(words in prop::collection::vec("[a-z]{2,12},?", 24..60), width in 12_usize..20) {
        let wrapped: Vec<_> = words.chunks(width).map(|line| line.join(" ")).collect();
        prop_assume!(wrapped.iter().rev().skip(1).all(|line| line.len() >= 32 + width));
        let text = |lines: &str| format!("Please {lines} now.");
        prop_assert_eq!(classify(&text(&words.join(" "))), classify(&text(&wrapped.join("\n"))));
    }

    #[test]
    fn capitals_never_matter(text in "[a-zA-Z0-9 .,:?$-]{0,80}(\n[a-zA-Z0-9 .,:?$-]{0,80}){0,3}") {
        prop_assert_eq!(classify(&text), classify(&text.to_ascii_uppercase()));
    }

    #[test]
    fn complexity_knows_no_lines(sentences in prop::collection::vec("[A-Z][a-z]{2,9}( [a-z]{2,9}){1,6}[.?!]", 1..6)) {
        let complexity = |joined: &str| {
            let vocabulary = Vocabulary::new();
            let factors = complexity::factors(&vocabulary.scan(joined), &vocabulary.hard, &Conversation::default());
            factors.map(f32::to_bits)
        };
        prop_assert_eq!(complexity(&sentences.join(" ")), complexity(&sentences.join("\n\n")));
    }

    #[test]
    fn long_and_odd_texts_end(part in "\\PC{1,40}", times in 1_usize..2_000) {
        classify(&part.repeat(times));
    }
}
