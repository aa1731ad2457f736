/* Follows logs: loads the page's logs again and again, more and more rarely while nothing is written
   or nobody answers, and not at all while the page is hidden. */
"use strict";
{
    const FIRST = 3000, LONGEST = 30000, LONGEST_AFTER_ERROR = 120000;
    const button = document.getElementById("userpods-follow");
    const texts = (from) => [...from.querySelectorAll("#userpods-logs pre")];
    const same = (one, other) => one.length === other.length
        && one.every((text, at) => text.previousElementSibling?.textContent === other[at].previousElementSibling?.textContent);
    const toEnd = () => {
        for (const text of texts(document)) text.scrollTop = text.scrollHeight;
    };
    const write = (page) => {
        const [problems, found] = [page.getElementById("userpods-problems"), texts(page)];
        const before = document.getElementById("userpods-problems");
        if (before.textContent !== problems.textContent) before.replaceChildren(...problems.children);
        // What was read stays, where it cannot be read again.
        if (found.length === 0) return false;
        if (!same(texts(document), found)) {
            document.getElementById("userpods-logs").replaceChildren(...page.getElementById("userpods-logs").children);
            toEnd();
            return true;
        }
        let changed = false;
        texts(document).forEach((text, at) => {
            if (text.textContent === found[at].textContent) return;
            const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 20;
            text.textContent = found[at].textContent;
            if (atEnd) text.scrollTop = text.scrollHeight;
            changed = true;
        });
        return changed;
    };

    let pause = FIRST, timer = 0, asking = false, following = false;
    const end = () => {
        following = false;
        button.setAttribute("aria-pressed", "false");
    };
    const ask = async () => {
        asking = true;
        try {
            const response = await fetch(location.href, {credentials: "same-origin", redirect: "manual"});
            if (response.type === "opaqueredirect" || [401, 403, 404].includes(response.status)) {
                end();
                return;
            }
            if (!response.ok) throw new Error(response.status);
            const page = new DOMParser().parseFromString(await response.text(), "text/html");
            pause = write(page) ? FIRST : Math.min(pause * 1.5, LONGEST);
        } catch {
            pause = Math.min(pause * 2, LONGEST_AFTER_ERROR);
        } finally {
            asking = false;
            wait();
        }
    };
    const wait = () => {
        clearTimeout(timer);
        if (following && !asking && !document.hidden) timer = setTimeout(ask, pause);
    };
    const now = () => {
        clearTimeout(timer);
        if (!following || asking || document.hidden) return;
        pause = FIRST;
        ask();
    };
    document.addEventListener("visibilitychange", now);
    button.addEventListener("click", () => {
        following = !following;
        button.setAttribute("aria-pressed", String(following));
        if (following) toEnd();
        now();
    });
    button.hidden = false;
}
