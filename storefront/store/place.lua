-- Writes down whose order it is, unless that is known. KEYS 1: the order; ARGV: now, the customer.
-- The value is "<seconds since 1970> <customer>".

local known = redis.call('GET', KEYS[1])
local placed = known and tonumber(string.match(known, '^%S+'))
if not placed or tonumber(ARGV[1]) - placed > OWNER_LIFE then
  redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[2], 'EX', OWNER_EXPIRY)
end
