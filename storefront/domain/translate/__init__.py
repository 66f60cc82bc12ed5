"""From what a service says to what a browser hears: one function and one row per message.

Adding a notification is one class in `messages`, one function here, one row in `registry`. A
function gets what the message cannot know (`Known`) and does nothing but put it together.

* `known`      what had to be found out first
* `carts`, `orders`, `shipments`, `returns`  the functions, by the event they make
* `registry`   the rows
"""

from storefront.domain.translate.known import Known, Totals, totals_in
from storefront.domain.translate.registry import (
    NAMESPACE,
    TRANSLATIONS,
    Translation,
    translation_of,
)

__all__ = [
    "NAMESPACE",
    "TRANSLATIONS",
    "Known",
    "Totals",
    "Translation",
    "totals_in",
    "translation_of",
]
