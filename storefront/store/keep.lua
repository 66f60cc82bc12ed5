-- Keeps a view if the customer's generation is the one its reading began under. KEYS: the numbering,
-- the view; ARGV: the generation, the view, for how many milliseconds.
--
-- Answers 1 where it was kept, 0 where the generation is another.

local generation = redis.call('HGET', KEYS[1], 'generation') or ''
if generation ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return 1
