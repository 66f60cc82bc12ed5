"""Views: composed from several services, in time, and honest about what is missing or old.

* `shapes`      the views as JSON has them
* `parts`       a question's outcome: a value or a hole, and what to say of its source
* `asking`      several questions at the same time, bounded, until the view's deadline
* `including`   what a page may ask for beyond the shallow view
* `remembered`  what the log knows of a customer: the place in it, and facts
* `lines`       the lines of a cart or a checkout, with their products
* `carts`, `checkouts`, `orders`, `history`, `products`
                one view each
* `rendering`   a view to bytes: what a cache keeps, and what is said of its age
* `views`       all of them, and the cache in front
* `cache`       views that were composed before; `cache_entries`, `cache_counts`, `memory_shelf`
                belong to it
* `product_cache`, `single_flight`, `caches`
                what is the same for everybody; one question for all who ask; all caches together
"""
