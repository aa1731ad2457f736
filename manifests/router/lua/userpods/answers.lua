-- What whoami says: turned into an entry, and remembered for a few seconds.
--
-- An entry is a table shared by all requests with the same credentials, never changed once it
-- is made (but for `epoch`, and `checked` and `okay`, which belong to `live`):
--   user, user_id, service       who, and which Service
--   ip, port, peer               where, or nil while there is nowhere
--   cookie, authorization        what of the request's credentials the pod may see
--   sent_cookie, sent_authorization   the credentials themselves
--   generation_key, generation   see generations.lua
--   epoch                        the epoch in which the generation was last compared
--   asked                        when whoami was asked: an entry counts from then
--
-- Two caches: plain Lua in each worker, and behind it a dictionary that all workers share. The
-- worker's key is the credentials; the shared one is their hash.

local cookies = require "userpods.cookies"
local generations = require "userpods.generations"
local target = require "userpods.target"
local lrucache = require "resty.lrucache"

local now = ngx.now
local shared = ngx.shared.userpods_answers
local generation_of, epoch_now = generations.get, generations.epoch

local _M = {}

local mine = lrucache.new(5000)
local seconds, token_prefix = 5, "upt_"

function _M.configure(settings)
    seconds, token_prefix = settings.cache_seconds, settings.token_prefix
end

-- The pod's Authorization: not one of our tokens. A bearer token that came without a cookie is
-- what let the request in; beside a cookie it may be the application's own.
local function for_pod(authorization, cookie)
    if not authorization then
        return ""
    end
    local is_bearer = authorization:find "^%s*[Bb][Ee][Aa][Rr][Ee][Rr]%f[%s%z]"
    if is_bearer and (not cookie or authorization:find(token_prefix, 1, true)) then
        return ""
    end
    return authorization
end

-- One key for all credentials. No header value contains a newline.
local function key_of(cookie, authorization)
    if authorization then
        return (cookie or "") .. "\n" .. authorization
    end
    return cookie
end

-- Makes an entry of whoami's words, or nil and what is wrong with them.
function _M.entry(words, cookie, authorization)
    if not target.is_service(words.service) then
        return nil, "a target that is not one of our Services"
    end
    if not target.is_username(words.user) or not target.is_user_id(words.user_id) then
        return nil, "no user"
    end
    local ip, port
    if words.peer then
        ip, port = target.peer(words.peer)
        if not ip then
            return nil, "a peer that cannot be a pod's"
        end
    end
    return {
        user = words.user,
        user_id = words.user_id,
        service = words.service,
        ip = ip,
        port = port,
        peer = words.peer,
        cookie = cookies.strip(cookie),
        authorization = for_pod(authorization, cookie),
        sent_cookie = cookie,
        sent_authorization = authorization,
        generation_key = generations.key(words.user_id),
        generation = words.generation,
        asked = words.asked,
        checked = words.asked,
        okay = words.asked,
    }
end

-- What a request with these credentials was answered lately, or nil.
function _M.find(cookie, authorization)
    local key = cookie
    if authorization then
        key = key_of(cookie, authorization)
    end
    local entry = mine:get(key)
    if entry then
        if now() - entry.asked < seconds then
            local epoch = epoch_now()
            if entry.epoch == epoch then
                return entry
            end
            -- Somebody was forgotten since: this one?
            if generation_of(entry.generation_key) == entry.generation then
                entry.epoch = epoch
                return entry
            end
        end
        mine:delete(key)
    end
    if seconds == 0 then
        return nil
    end
    local text = shared:get(ngx.sha1_bin(key))
    if not text then
        return nil
    end
    local asked, generation, user_id, user, service, peer =
        text:match("^([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)$")
    asked, generation = tonumber(asked), tonumber(generation)
    if now() - asked >= seconds or generation_of(generations.key(user_id)) ~= generation then
        return nil
    end
    entry = _M.entry({
        user = user, user_id = user_id, service = service, peer = peer,
        generation = generation, asked = asked,
    }, cookie, authorization)
    if entry then
        mine:set(key, entry, seconds - (now() - asked))
    end
    return entry
end

-- Remembers an entry. One without a place to go is not: it changes any moment now.
function _M.keep(entry)
    local left = seconds - (now() - entry.asked)
    if left <= 0 or not entry.ip or entry.generation == -1 then
        return
    end
    local key = key_of(entry.sent_cookie, entry.sent_authorization)
    mine:set(key, entry, left)
    shared:set(ngx.sha1_bin(key), table.concat({
        string.format("%.3f", entry.asked), entry.generation or "", entry.user_id, entry.user,
        entry.service, entry.peer,
    }, "\n"), left)
end

-- Forgets what these credentials were answered.
function _M.drop(cookie, authorization)
    local key = key_of(cookie, authorization)
    if key then
        mine:delete(key)
        shared:delete(ngx.sha1_bin(key))
    end
end

return _M
