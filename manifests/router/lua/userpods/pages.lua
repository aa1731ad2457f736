-- What the router itself says: HTML for a person at a browser, in the browser's language as far as
-- words.lua has it; JSON, in English, for everyone else.

-- Not on the way of every request: kept out of LuaJIT's sight, so that what it compiles for those
-- that are is the same in every worker.
jit.off(true, true)

local cjson = require "cjson.safe"
local places = require "userpods.places"
local words = require "userpods.words"

local _M = {}

--- A person is looking: a navigation that can show a page.
function _M.is_navigation()
    local method = ngx.req.get_method()
    if method ~= "GET" and method ~= "HEAD" then
        return false
    end
    local var = ngx.var
    if var.http_upgrade then
        return false
    end
    local mode = var.http_sec_fetch_mode
    if mode then
        return mode == "navigate"
    end
    local accept = var.http_accept
    return accept ~= nil and accept:find("text/html", 1, true) ~= nil
end

local template = [[<!doctype html>
<html lang="%s"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#9cf}}</style></head>
<body><main><h1>%s</h1><p>%s</p>%s</main>%s</body></html>
]]

-- Opens what was asked for as soon as something other than this page is answered in its place. It
-- asks for the head alone, and without the query, which may be good for one request alone; so
-- whoever reads, or has it read out, is not thrown back to the beginning each time. A page that
-- loads itself is left to browsers where the script does not run, since they have none or a policy
-- that a gateway adds forbids it: the script takes its own parent out of the page before the parser
-- comes to the <meta>, which then never is in the page.
local again = [[

<div>
<script>
document.currentScript.parentNode.remove();
(async () => {
  const first = %d;
  for (let wait = first; ; wait = Math.max(first, Math.min(wait * 1.5, 15))) {
    await new Promise(go => setTimeout(go, wait * 1000));
    if (document.hidden) continue;
    const here = location.origin + location.pathname;
    const answer = await fetch(here, {method: "HEAD", redirect: "manual"}).catch(() => null);
    if (answer && answer.headers.get("X-Userpods-Says") !== %s) return location.reload();
  }
})();
</script>
<meta http-equiv="refresh" content="%d">
</div>]]

--- A text as it stands in HTML, also between quotes.
function _M.escaped(text)
    return (text:gsub("[&<>\"']", {
        ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;",
    }))
end

--- Answers and ends the request. `retry` is in seconds, for Retry-After and, in a page, the
-- time after which it looks for something else in its place; `link` is an address that a page
-- offers, and its words. All words are English ones that words.lua has in other languages.
function _M.say(status, title, text, retry, link)
    ngx.status = status
    ngx.header["Cache-Control"] = "no-store"
    if retry then
        ngx.header["Retry-After"] = tostring(retry)
        ngx.header["X-Userpods-Says"] = title:lower()
    end
    if _M.is_navigation() then
        ngx.header["Content-Type"] = "text/html; charset=utf-8"
        local seconds = math.max(1, retry or 1)
        local looks = retry and again:format(
            seconds, cjson.encode(title:lower()), seconds) or ""
        local language = words.language(ngx.var.http_accept_language)
        local heading = words.say(language, title)
        local more = link and ('<p><a href="%s">%s</a></p>'):format(
            _M.escaped(link.address), words.say(language, link.text)) or ""
        ngx.header["Content-Language"] = language
        ngx.print(template:format(language, heading, heading,
            words.say(language, text), more, looks))
    else
        ngx.header["Content-Type"] = "application/json"
        ngx.print(cjson.encode { error = title:lower(), message = text }, "\n")
    end
    -- The whole request ends here, with the status above.
    return ngx.exit(ngx.HTTP_OK)
end

-- Bytes of a return address beyond which people come back to the first page: gunicorn takes 4094 of
-- a request line.
local LONGEST = 3500

--- Where a browser signs in and then comes back: always a path of this host, however many
-- slashes (or backslashes, which browsers read as slashes) the request's own began with.
function _M.login_address(settings, request_uri)
    -- An absolute-form request line: keep the path alone.
    local path = request_uri:gsub("^%a[%w+.-]*://[^/?#]*", "")
    path = "/" .. path:gsub("^[/\\]+", ""):gsub("%c", "")
    -- Dots and blanks between slashes must not leave a second slash in front either.
    if path:find("^/[%s.]*[/\\]") then
        path = "/"
    end
    if #ngx.escape_uri(path) > LONGEST then
        path = places.first_page(path)
    end
    if places.has_hosts then
        return "/.userpods/sign-in?next=" .. ngx.escape_uri(path)
    end
    local separator = settings.login_url:find("?", 1, true) and "&" or "?"
    return settings.login_url .. separator .. settings.next_parameter .. "="
        .. ngx.escape_uri(settings.origin .. path)
end

--- Answers a request without credentials: the login page for a browser, 401 for everyone else.
function _M.ask_to_sign_in(settings)
    if _M.is_navigation() then
        ngx.header["Cache-Control"] = "no-store"
        return ngx.redirect(_M.login_address(settings, ngx.var.request_uri), 302)
    end
    ngx.header["WWW-Authenticate"] = "Bearer"
    return _M.say(401, "No token", "Sign in first.")
end

--- Answers somebody whose account or token may not come here. Another one may, and a session that
-- is good wins over a token that is not, whoever put that into the browser.
function _M.refuse(settings)
    return _M.say(403, "No access", "This account or token has no access here.", nil,
        { address = _M.login_address(settings, ngx.var.request_uri), text = "Sign in" })
end

--- Answers a request that another origin started, which carries no identity; nobody is sent to sign
-- in for it.
function _M.refuse_foreign()
    ngx.header["WWW-Authenticate"] = "Bearer"
    return _M.say(401, "Another origin",
        "A page of another origin started this request, so it carries no identity.")
end

--- Answers where no pod can be: `status` 308 (to `address`), 400 or 404.
function _M.no_place(status, address)
    if status == 308 then
        return ngx.redirect(address, 308)
    elseif status == 400 then
        return _M.say(400, "Bad request", "The request names no host.")
    end
    return _M.say(404, "Not found", "There is nothing here.")
end

--- With more cookies than any server takes, the browser could not even sign in
-- any more. On the site's host it throws them away. (Browsers do so over TLS and on localhost.) Not
-- on a host of pods alone: it would throw away those of the whole registrable domain, and an
-- application could sign its user out of the site.
function _M.too_many_cookies()
    local text = "Your browser sent more cookies than can be read here. Delete the cookies of this "
        .. "address in your browser, and reload this page."
    if places.is_the_sites(ngx.var.http_host or "") then
        ngx.header["Clear-Site-Data"] = '"cookies"'
        text = "Your browser sent more cookies than can be read here. They are deleted now: reload "
            .. "this page and sign in again, or delete this site's cookies yourself."
    end
    return _M.say(431, "Too many cookies", text)
end

--- nginx cannot read the request, or its line has no version. To the last nobody is answered: it
-- would be without a head.
function _M.unreadable()
    return ngx.exit(ngx.req.http_version() == 0.9 and 444 or 400)
end

--- A path that only this nginx itself asks for.
function _M.nowhere()
    return _M.say(404, "Not found", "There is nothing here.")
end

return _M
