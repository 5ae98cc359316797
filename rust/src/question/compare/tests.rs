//! What a second embedder may overrule, each with what it may not.

use super::super::{Likeness, Question, Rule, Verifier};

fn compare(left: &str, right: &str) -> Option<Likeness> {
    let features = |text| Question::read(text).ok().and_then(|question| question.features);
    Some(features(left)?.compare(&features(right)?, Verifier::Strict))
}

/// Of pairs with a rule, those that are not `like` it.
fn others(pairs: &[(Rule, &str, &str)], like: fn(Rule) -> Likeness) -> Vec<String> {
    let found = pairs.iter().map(|&(rule, left, right)| (like(rule), compare(left, right), left, right));
    found.filter(|it| Some(it.0) != it.1).map(|it| format!("{it:?}")).collect()
}

#[test]
fn each_doubt_has_a_pair_that_it_lets_pass() {
    let pairs = [
        (
            Rule::Order,
            "What do brides with short hair wear at a wedding?",
            "What do brides wear at a wedding with short hair?",
        ),
        (Rule::Tense, "What happens when a volcano erupts?", "What happened when a volcano erupted?"),
        (Rule::Modality, "Why do plants need light?", "Why would plants need light?"),
        (Rule::Added, "How do I grow tomatoes?", "How do I grow cherry tomatoes?"),
        (Rule::Pronoun, "What are the duties of a judge?", "What are your duties of a judge?"),
        (Rule::Direction, "What do cows eat within a day?", "What do cows eat a day?"),
        (Rule::Quantity, "Why do most cats sleep?", "Why do cats sleep?"),
        (Rule::Logic, "Where do bees and wasps sleep?", "Where do bees wasps sleep?"),
        (
            Rule::Content,
            "Why do tomatoes split on a balcony?",
            "Why do cherry tomatoes crack on a balcony garden?",
        ),
        (Rule::Wh, "What makes bread dough rise?", "How does bread dough manage to grow?"),
    ];
    assert_eq!(others(&pairs, Likeness::Close), Vec::<String>::new());
}

#[test]
fn no_doubt_is_what_turns_a_question_into_another() {
    let pairs = [
        // Two words that change places.
        (Rule::Order, "Why do wolves hunt foxes?", "Why do foxes hunt wolves?"),
        (Rule::Direction, "How does a wolf run from a fox?", "How does a fox run from a wolf?"),
        // One word for another.
        (Rule::Content, "How do I grow tomatoes?", "How do I cook tomatoes?"),
        (Rule::Direction, "Why do cats hide behind a sofa?", "Why do cats hide beneath or under a sofa?"),
        (Rule::Quantity, "Why do all birds sing?", "Why do several birds sing?"),
        (Rule::Logic, "Where do bees and wasps sleep?", "Where do bees or wasps sleep?"),
        (Rule::Pronoun, "Why do you like plums?", "Why do they like plums?"),
        // Another question word, and little or nothing else.
        (Rule::Wh, "What do bees eat?", "Why do bees eat?"),
        (
            Rule::Wh,
            "Why do bees sleep in the winter garden?",
            "How do bees sleep in a garden when winter comes?",
        ),
        // Nothing else may differ beside what is grave.
        (Rule::Number, "How do I grow 20 tomatoes?", "How do I grow 30 healthy tomatoes?"),
        (Rule::Number, "What are 20 tomatoes for 30 cooks?", "What are 30 tomatoes for 20 good cooks?"),
        (Rule::Entity, "How do I grow tomatoes?", "How do I grow tomatoes in Norway?"),
        (Rule::Negation, "Why do cats like milk?", "Why do most cats not like milk?"),
        (Rule::Antonym, "How do I import data?", "How do I export large data?"),
        (Rule::Time, "What grows in summer?", "What grows well in winter?"),
        (Rule::Unit, "Why is 20 miles far?", "Why is 20 kilometres very far?"),
        // A yes or a no turns on every word.
        (Rule::Added, "Is a plant healthy?", "Is an old plant healthy?"),
        (Rule::Tense, "Is a judge elected?", "Was a judge elected?"),
        // More than four words.
        (
            Rule::Content,
            "How do I grow tomatoes?",
            "How do I cook a tasty dinner with fresh garden tomatoes?",
        ),
    ];
    assert_eq!(others(&pairs, Likeness::Differs), Vec::<String>::new());
}
