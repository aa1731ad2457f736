-- The Django site's cookies and ours: no pod sees or sets them, and Django sees no others.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local _M = {}

local names, credentials = {}, {}

-- A set of cookie names, also with the prefixes that browsers treat specially.
local function set_of(list)
    local set = {}
    for _, name in ipairs(list) do
        name = name:lower()
        set[name] = true
        set["__host-" .. name] = true
        set["__secure-" .. name] = true
    end
    return set
end

-- Ours, whatever the settings say. On a pod's host Django puts __Host- in front, so that no other
-- host can set them.
local OURS = { "userpods", "userpods_nonce", "userpods_owner", "userpods_token", "userpods_wanted" }
local OUR_PREFIX = "__host-userpods"

--- The site's cookie names, and which of them say who is asking. (These are the site's, too.)
function _M.configure(list, credential_list)
    names, credentials = set_of(list), set_of(credential_list)
    for _, set in ipairs { set_of(OURS), credentials } do
        for name in pairs(set) do
            names[name] = true
        end
    end
end

-- Whether a cookie of this (lower case) name is the site's or ours.
local function is_kept(name)
    return names[name] or name:sub(1, #OUR_PREFIX) == OUR_PREFIX
end

-- What names are made of. All else, such as blanks and control characters, some servers strip.
local OF_NAMES = "%w!#$%%&'*+%-.^_`|~"

-- What stands before the first "=", in lower case, without what servers strip.
local function name_of(pair)
    return (pair:match("^[^=]*"):gsub("[^" .. OF_NAMES .. "]", ""):lower())
end

-- Whether a cookie has one that is kept after a comma. Where a header came in several lines
-- something in front may have joined them so, as RFC 9110, 5.3, has it for other headers, and some
-- servers take them apart there.
local function holds_a_kept_one(pair)
    for part in pair:gmatch ",([^,]*)" do
        if part:find("=", 1, true) and is_kept(name_of(part)) then
            return true
        end
    end
    return false
end

-- A text from the first to the last byte of this class; "" where there is none. (What a pattern
-- like "(.-)[ \t]*$" costs grows with the square of a run of blanks.)
local function trimmed(text, class)
    local first = text:find(class)
    return first and text:match(".*" .. class, first) or ""
end

-- The cookies of a header, trimmed, in order, each with its name.
local function each(cookie)
    local next_pair = cookie:gmatch "[^;]+"
    return function()
        for pair in next_pair do
            pair = trimmed(pair, "[^ \t]")
            if pair ~= "" then
                return pair, name_of(pair)
            end
        end
    end
end

-- The length from which a value is a secret, and not by chance part of another one.
local SECRET = 16
-- How many cookies that say who is asking are looked for in each of the others. Browsers send two
-- or three.
local MOST_OURS = 20

-- The cookies that hold no value of ours, whatever their name.
local function without_secrets(others, ours)
    local secrets, rest = {}, {}
    for _, pair in ipairs(ours) do
        local value = trimmed(pair:match "=(.*)" or "", "[" .. OF_NAMES .. "]")
        if #value >= SECRET then
            secrets[#secrets + 1] = value
        end
    end
    local function holds_a_secret(pair)
        for _, secret in ipairs(secrets) do
            if pair:find(secret, 1, true) then
                return true
            end
        end
        return false
    end
    for _, pair in ipairs(others) do
        if not holds_a_secret(pair) then
            rest[#rest + 1] = pair
        end
    end
    return table.concat(rest, "; ")
end

--- Takes a Cookie header (or nil) apart. Returns what says who is asking, nil where nothing does,
-- and what a pod may see, "" where that is nothing. It is nothing, too, where the former are more
-- than anybody has, in number or beyond `most` bytes: they could not be looked for in the others.
function _M.split(cookie, most)
    local ours, others = {}, {}
    for pair, name in each(cookie or "") do
        if credentials[name] then
            ours[#ours + 1] = pair
        elseif not is_kept(name) and not holds_a_kept_one(pair) then
            others[#others + 1] = pair
        end
    end
    local text = ours[1] and table.concat(ours, "; ")
    if text and (#text > most or #ours > MOST_OURS) then
        return text, ""
    end
    return text, without_secrets(others, ours)
end

--- What of a Cookie header (or nil) is the site's and ours; "" for nothing. (Without a "=" it is
-- the value of a cookie that has no name.)
function _M.for_site(cookie)
    local kept = {}
    for pair, name in each(cookie or "") do
        if is_kept(name) and pair:find("=", 1, true) then
            kept[#kept + 1] = pair
        end
    end
    return table.concat(kept, "; ")
end

--- Whether a pod may send this Set-Cookie. Strict about names: a cookie without a name is sent
-- back as "value" alone, which may read as "sessionid=...", and Django strips more kinds of
-- blanks around a name than browsers do.
function _M.may_set(set_cookie)
    local name = set_cookie:match("^[ \t]*([" .. OF_NAMES .. "]+)[ \t]*=")
    if not name or is_kept(name:lower()) then
        return false
    end
    for attribute in set_cookie:gmatch(";([^;=]*)") do
        if attribute:gsub("[^%w]", ""):lower() == "domain" then
            return false
        end
    end
    return true
end

-- The maximum number of values of one name that ngx.header gives. There may be more.
local MOST = 100

--- The Set-Cookie headers (nil, a string or a list) that a pod may send, and whether they have to
-- be set anew, because any was dropped or could not be seen.
function _M.allowed(values)
    if values == nil then
        return nil, false
    end
    if type(values) == "string" then
        values = { values }
    end
    local kept = {}
    for _, value in ipairs(values) do
        if _M.may_set(value) then
            kept[#kept + 1] = value
        end
    end
    return kept, #kept ~= #values or #values >= MOST
end

--- Whether one of these Set-Cookie headers sets the cookie of this name.
function _M.sets(values, name)
    if type(values) == "string" then
        values = { values }
    end
    for _, value in ipairs(values or {}) do
        if value:match("^[^=;]*") == name then
            return true
        end
    end
    return false
end

--- Whether one of these Set-Cookie headers sets a cookie that says who is asking.
function _M.sets_credential(values)
    if type(values) == "string" then
        values = { values }
    end
    for _, value in ipairs(values or {}) do
        if credentials[value:match("^[^=;]*"):lower()] then
            return true
        end
    end
    return false
end

-- The maximum number of cookies that one answer removes; browsers keep fewer of a host.
local MOST_REMOVED = 1000

--- These Set-Cookie headers (nil, a string or a list), and what removes from a Cookie header (or
-- nil) what is neither the site's nor ours.
function _M.with_removals(values, cookie)
    local found, seen, removed = {}, {}, 0
    if type(values) == "string" then
        values = { values }
    end
    for _, value in ipairs(values or {}) do
        found[#found + 1] = value
    end
    for pair, name in each(cookie or "") do
        local spelled, rest = pair:match "^([^=]*)(=?)"
        spelled = trimmed(spelled, "[^ \t]")
        -- A cookie without a name is sent as its value alone.
        if rest == "" then
            spelled = ""
        end
        if not is_kept(name) and not seen[spelled] and not spelled:find "%c"
            and removed < MOST_REMOVED
        then
            seen[spelled], removed = true, removed + 1
            -- Browsers take no cookie that has neither name nor value.
            local value = spelled == "" and "=gone" or spelled .. "="
            local secure = (name:find "^__host%-" or name:find "^__secure%-") and "; Secure" or ""
            found[#found + 1] = value .. "; Path=/; Max-Age=0" .. secure
        end
    end
    return found
end

return _M
