local words = require "userpods.words"

local tests = {}

local function speaks(accept, expected)
    local found = words.language(accept)
    assert(found == expected, ("%q gave %q, not %q"):format(tostring(accept), found, expected))
end

function tests.a_browser_that_says_nothing_reads_english()
    speaks(nil, "en")
    speaks("", "en")
    speaks("*", "en")
    speaks("de-DE,de;q=0.9", "en")
    speaks(";;q=,,x;q=zh", "en")
end

function tests.chinese_where_it_is_wanted_more_than_english()
    speaks("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans")
    speaks("zh", "zh-Hans")
    speaks("ZH-HANS", "zh-Hans")
    speaks("zh-hans-cn", "zh-Hans")
    speaks("de, zh;q=0.5", "zh-Hans")
    speaks("en;q=0.4, zh-SG;q=0.5", "zh-Hans")
    speaks("en-GB,en;q=0.9,zh-CN;q=0.8", "en")
    speaks("en, zh", "en")
    speaks("zh;q=0", "en")
    speaks("zh ; q=0.1, en ; q=0.2", "en")
end

function tests.readers_of_traditional_chinese_are_not_given_simplified_unasked()
    speaks("zh-TW,en;q=0.5", "en")
    speaks("zh-Hant-HK,en;q=0.5", "en")
    speaks("zh-TW,zh;q=0.9,en;q=0.5", "zh-Hans")
end

function tests.names_that_only_begin_alike_are_others()
    speaks("zha", "en")
    speaks("zhen-CN", "en")
end

function tests.a_text_that_has_no_words_in_a_language_stays()
    assert(words.say("en", "Not found") == "Not found")
    assert(words.say("zh-Hans", "Not found") ~= "Not found")
    assert(words.say("zh-Hans", "Nothing says this") == "Nothing says this")
end

return tests
