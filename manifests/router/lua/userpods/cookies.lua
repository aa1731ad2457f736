-- The Django site's cookies: no pod sees them, no pod sets them.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local _M = {}

local names = {}

-- The site's cookie names, also with the prefixes that browsers treat specially.
function _M.configure(list)
    names = {}
    for _, name in ipairs(list) do
        name = name:lower()
        names[name] = true
        names["__host-" .. name] = true
        names["__secure-" .. name] = true
    end
end

local function is_site(name)
    return names[name:lower()] == true
end

-- What is left of a Cookie header for a pod; "" when nothing is. A name is whatever stands
-- before the first "=", without the blanks and control characters that servers strip.
function _M.strip(cookie)
    if not cookie then
        return ""
    end
    local kept = {}
    for pair in cookie:gmatch("[^;]+") do
        local name = pair:match("^[^=]*"):gsub("[^%w!#$%%&'*+%-.^_`|~]", "")
        if not is_site(name) and pair:find("[^ \t]") then
            kept[#kept + 1] = pair:match("^[ \t]*(.-)[ \t]*$")
        end
    end
    return table.concat(kept, "; ")
end

-- Whether a pod may send this Set-Cookie. Strict about names: a cookie without a name is sent
-- back as "value" alone, which may read as "sessionid=...", and Django strips more kinds of
-- blanks around a name than browsers do.
function _M.may_set(set_cookie)
    local name = set_cookie:match("^[ \t]*([%w!#$%%&'*+%-.^_`|~]+)[ \t]*=")
    if not name or is_site(name) then
        return false
    end
    for attribute in set_cookie:gmatch(";([^;=]*)") do
        if attribute:gsub("[^%w]", ""):lower() == "domain" then
            return false
        end
    end
    return true
end

-- ngx.header gives at most so many values of one name. There may be more that it did not show.
local MOST = 100

-- The Set-Cookie headers (nil, a string or a list) that a pod may send, and whether they have to
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

-- Whether one of these Set-Cookie headers sets the cookie of this name.
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

return _M
