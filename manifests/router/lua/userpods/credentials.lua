-- What of a request says who is asking: our cookies and our tokens, and nothing else of it.
--
-- Only these are sent to whoami, only their hash keys what it answered, only they are held back
-- from pods. All else is the application's own, in any number and size.

local cookies = require "userpods.cookies"
local places = require "userpods.places"
local lrucache = require "resty.lrucache"
local tokens = require "userpods.tokens"

local sha1 = ngx.sha1_bin

local _M = {}

-- Bytes of ours in one request beyond which nobody is asked: gunicorn takes 8190 of a header.
_M.MOST = 8000
-- What browsers send with every request is taken apart once. The most bytes of one that is kept,
-- and how many are: 8 MiB in a worker, with what they were taken apart to.
local KEPT_BYTES, KEPT = 2048, 2000

local seen = lrucache.new(KEPT)
local token_prefix = "upt_"

--- Takes `token_prefix` from the settings.
function _M.configure(settings)
    token_prefix = settings.token_prefix
    tokens.configure(token_prefix)
    seen:flush_all()
end

local function take_apart(cookie, authorization, place)
    local ours, rest = cookies.split(cookie, _M.MOST)
    local found = {
        cookie = ours, rest_cookie = tokens.strip(rest), rest_authorization = authorization or "",
    }
    if authorization and token_prefix == "" then
        -- Which scheme the site's own authenticators read is not known here.
        found.authorization = authorization
        -- Alone it is what lets the request in.
        if not ours or authorization:lower():find "bearer" then
            found.rest_authorization = ""
        end
    elseif authorization and tokens.is_held_by(authorization) then
        found.authorization, found.rest_authorization = authorization, ""
    end
    if ours or found.authorization then
        -- No header value contains a newline.
        local text = (ours or "") .. "\n" .. (found.authorization or "")
        found.is_too_large = #text > _M.MOST
        -- Servers differ in what they make of these.
        found.place = places.normal(place)
        found.is_unreadable = text:find "[%z\1-\8\11-\31\127]" ~= nil or not found.place
        found.who = sha1(text)
        found.key = sha1((found.place or "\0") .. "\n" .. text)
    end
    return found
end
jit.off(take_apart)

--- Takes a request's Cookie headers (joined by "; ") and Authorization header apart; each may be
-- nil. `place` is the pod that it asks for (places.lua). Returns a table that is not to be changed:
--   cookie, authorization              ours, as they were sent and in order, or nil
--   rest_cookie, rest_authorization    what a pod may see; "" for nothing
--   place                              as whoami hears it
--   key                                a hash of ours and of the place, nil where there is nothing
--                                      of ours
--   who                                a hash of ours alone
--   is_too_large                       there is more of ours than Django could take
function _M.of(cookie, authorization, place)
    local text = place .. "\n" .. (cookie or "")
    if authorization then
        text = text .. "\n" .. authorization
    end
    local found = seen:get(text)
    if not found then
        found = take_apart(cookie, authorization, place)
        if #text <= KEPT_BYTES then
            seen:set(text, found)
        end
    end
    return found
end

return _M
