-- What every script about a customer's log begins with. KEYS 1 to 3 are the customer's numbering (a
-- hash: epoch, seq, touched, generation), log (a list, whose last element has the number `seq`) and
-- message ids (a sorted set of digests, by the number of the event they caused). The constants in
-- capitals are written above this by redis_scripts.py; ARGV 1 to 4 are always the same.
--
-- A script is not rolled back. So whatever may be refused (a key of a wrong type, no memory, a
-- replica) is met before the first write, and the first write is one that is refused without memory.

local NOW, NEW_EPOCH, KNOWN_EPOCH, KNOWN_SEQ = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local now = tonumber(NOW)

local function lives_on()
  redis.call('EXPIRE', KEYS[1], HEAD_EXPIRY)
  redis.call('EXPIRE', KEYS[3], HEAD_EXPIRY)
end

-- The numbering as it stands; nil where there is none, where it has lapsed, and where Redis has
-- forgotten what it once said: a head lower than the one the caller knows of.
local function find()
  local found = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'touched')
  local epoch, seq, touched = found[1], tonumber(found[2]), tonumber(found[3])
  if not (epoch and seq and touched) or now - touched > HEAD_LIFE then return nil end
  if epoch == KNOWN_EPOCH and seq < KNOWN_SEQ then return nil end
  return { epoch = epoch, seq = seq, touched = touched }
end

local function start()
  redis.call('HSET', KEYS[1], 'epoch', NEW_EPOCH, 'seq', 0, 'touched', NOW)
  redis.call('DEL', KEYS[2], KEYS[3])
  lives_on()
  return { epoch = NEW_EPOCH, seq = 0, touched = now }
end

-- That there was an event or a question is written down once a day, because each writing costs Redis
-- and its disk; HEAD_LEEWAY makes up for it.
local function is_old(at) return now - at.touched > HEAD_LEEWAY end

-- The numbering somebody asks for. Where the writing down is refused, the question is answered all
-- the same.
local function asked()
  local at = find()
  if not at then return start() end
  if is_old(at) and type(redis.pcall('HSET', KEYS[1], 'touched', NOW)) == 'number' then lives_on() end
  return at
end

local function number(seq) return string.format('%.0f', seq) end
