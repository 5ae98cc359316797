use proptest::prelude::*;

use super::{estimate_tokens, of_audio, of_image, small_letters};

/// Texts with their length in o200k tokens.
const COUNTED: [(&str, usize); 8] = [
    (
        "The harbour was quiet when we arrived, apart from two gulls quarrelling over a crust of bread. Our guide, who had grown up in the village, explained that the fishing boats leave before dawn and rarely return until the tide allows it.",
        50,
    ),
    (
        "Summarise the following complaint in one sentence and tell me whether the customer deserves a refund: I ordered 3 lamps on 14 May, two arrived broken, and nobody has answered my e-mails for 12 days.",
        45,
    ),
    (
        "def moving_average(values: list[float], window: int) -> list[float]:\n    if window < 1:\n        raise ValueError(\"window must be positive\")\n    total = sum(values[:window])\n    averages = [total / window]\n    for i in range(window, len(values)):\n        total += values[i] - values[i - window]\n        averages.append(total / window)\n    return averages\n",
        84,
    ),
    (
        "{\"order_id\": 48213, \"customer\": {\"name\": \"Ada\", \"city\": \"Leeds\"}, \"items\": [{\"sku\": \"LMP-7\", \"quantity\": 3, \"price\": 19.95}], \"shipped\": false}",
        56,
    ),
    (
        "Die Brücke wurde im Frühjahr gesperrt, weil Fachleute an mehreren Stellen Risse entdeckt hatten. Bis zum Herbst soll entschieden werden, ob sich eine Reparatur noch lohnt oder ob ein Neubau günstiger wäre.",
        45,
    ),
    ("这座桥在春天被封闭，因为专家发现了几处裂缝。到秋天将决定是修理还是重建更划算。", 34),
    (
        "Мост закрыли весной, потому что специалисты нашли трещины в нескольких местах. Осенью решат, стоит ли его ремонтировать или дешевле построить новый.",
        35,
    ),
    (
        "Le pont a été fermé au printemps parce que des experts avaient trouvé des fissures à plusieurs endroits. On décidera à l'automne s'il vaut mieux le réparer ou en construire un nouveau.",
        39,
    ),
];

#[test]
fn texts_of_many_kinds_are_within_a_quarter_of_o200k() {
    for (text, tokens) in COUNTED {
        let estimate = estimate_tokens(text);
        assert!(estimate.abs_diff(tokens) * 4 <= tokens, "{estimate} for {tokens}: {text}");
    }
}

#[test]
fn their_sum_is_within_a_twentieth() {
    let estimate: usize = COUNTED.iter().map(|(text, _)| estimate_tokens(text)).sum();
    let tokens: usize = COUNTED.iter().map(|(_, tokens)| tokens).sum();
    assert!(estimate.abs_diff(tokens) * 20 <= tokens, "{estimate} for {tokens}");
}

#[test]
fn nothing_costs_nothing_and_anything_at_least_one() {
    assert_eq!(estimate_tokens(""), 0);
    for text in ["a", " ", "\n", ".", "\0", "7", "\u{e9}", "\u{4f60}", "\u{1f600}", "\u{300}"] {
        assert!((1..=2).contains(&estimate_tokens(text)), "{text:?}");
    }
}

#[test]
fn images_and_audio_go_by_the_published_rules() {
    assert_eq!((of_image(true), of_image(false)), (85, 765));
    assert_eq!(of_audio(&"A".repeat(21_333)), 11);
}

proptest! {
    #[test]
    fn any_text_has_an_estimate_below_two_a_character(text in any::<String>()) {
        prop_assert!(estimate_tokens(&text) <= 2 * text.chars().count());
    }

    #[test]
    fn small_letters_are_counted_as_one_by_one(bytes in prop::collection::vec(prop_oneof![5 => b'a'..=b'z', 1 => any::<u8>()], 0..40)) {
        let naive = bytes.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
        prop_assert_eq!(small_letters(&bytes), naive);
    }
}
