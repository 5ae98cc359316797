use super::*;

fn cut(text: &str) -> Vec<&str> {
    words(text).map(|word| &text[word.start..word.end]).collect()
}

#[test]
fn words_are_letters_and_digits_with_inner_apostrophes() {
    assert_eq!(cut("Don't 'quote' me, it's 3pm."), ["Don't", "quote", "me", "it's", "3pm"]);
    assert_eq!(cut("C++, C# and a+b"), ["C++", "C#", "and", "a", "b"]);
    assert_eq!(cut("self-harm"), ["self", "harm"]);
}

#[test]
fn ideographs_are_words_of_their_own() {
    assert_eq!(cut("请翻译abc naïve"), ["请", "翻", "译", "abc", "naïve"]);
}

#[test]
fn case_and_curly_apostrophes_do_not_change_a_word() {
    let hashes = |text| words(text).map(|word| word.hash).collect::<Vec<_>>();
    assert_eq!(hashes("DON\u{2019}T ÉTÉ"), hashes("don't été"));
    assert_eq!(hashes("write")[0], hash_of(b"Write"));
}

#[test]
fn joining_keeps_the_order() {
    assert_ne!(join(1, 2), join(2, 1));
}
