-- Gives a customer another view generation. KEYS 1: the numbering; ARGV 1: the generation.

redis.call('HSET', KEYS[1], 'generation', ARGV[1])
redis.call('EXPIRE', KEYS[1], HEAD_EXPIRY)
