"""Tabs in which nothing goes wrong unseen."""

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, Page

EMAIL, PASSWORD = "owner@example.com", "correct horse battery"
_CSP_WATCH = """
window.refusedByCsp = [];
document.addEventListener("securitypolicyviolation", (event) => window.refusedByCsp.push(event.violatedDirective));
"""


@dataclass
class Sight:
    """One tab, and what went wrong in it: errors of scripts, what the policy refused, answers that failed."""

    page: Page
    wrong: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        return self.wrong + [f"refused by the policy: {what}" for what in self.page.evaluate("window.refusedByCsp")]


def looked_at(context: BrowserContext) -> Sight:
    """Open a tab in which nothing goes wrong unseen."""
    context.add_init_script(_CSP_WATCH)
    page = context.new_page()
    found = Sight(page)
    page.on("pageerror", lambda error: found.wrong.append(f"script: {error}"))
    page.on("console", lambda said: found.wrong.append(f"console: {said.text}") if said.type == "error" else None)
    return found
