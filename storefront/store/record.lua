-- Records events of one customer, in order. KEYS 4: the customer's facts (a hash). ARGV from 5 on:
-- the generation to come, the channel, the customer as the announcement names them; then of each
-- event its message's digest, the entry, and of two facts the thing it is about ("" for none), the
-- fact.
--
-- Answers "<announced> <epoch> <seq> <seq> ...", 0 for a message that was known.

local GENERATION, CHANNEL, CUSTOMER = ARGV[5], ARGV[6], ARGV[7]

-- A fact: when it happened and when it was recorded (doubles), the length of its detail (-1 for
-- none), the detail, and what only the reader of it understands.
local FACT, BEFORE_DETAIL = '>ddi4', 20
-- An entry: when it was recorded (a double), the length of its trace context, and so on.
local BEFORE_TRACE = 12

-- The numbers at the front of a fact. What is none of ours counts as one that has lapsed: an error
-- in here would leave the event half recorded.
local function measures(fact)
  if #fact < BEFORE_DETAIL then return 0, -math.huge, -1 end
  return struct.unpack(FACT, fact)
end

local function drop_one_fact()
  local all, oldest, oldest_occurred, kept = redis.call('HGETALL', KEYS[4]), nil, nil, 0
  for i = 1, #all, 2 do
    local occurred, recorded = measures(all[i + 1])
    if now - recorded > FACT_LIFE then
      redis.call('HDEL', KEYS[4], all[i])
    else
      kept = kept + 1
      if not oldest or occurred < oldest_occurred then oldest, oldest_occurred = all[i], occurred end
    end
  end
  if kept > FACTS_KEPT then redis.call('HDEL', KEYS[4], oldest) end
end

-- A fact without a detail (`rest` is what follows it), with the detail of another, so long.
local function lent(occurred, recorded, rest, detail, lender)
  return struct.pack(FACT, occurred, recorded, detail)
    .. string.sub(lender, BEFORE_DETAIL + 1, BEFORE_DETAIL + detail) .. rest
end

-- Decides as standing() of domain/facts.py does.
local function remember(thing, fact)
  local old = redis.call('HGET', KEYS[4], thing)
  if old then
    local old_occurred, old_recorded, old_detail = measures(old)
    if now - old_recorded <= FACT_LIFE then
      local occurred, recorded, detail = measures(fact)
      if occurred < old_occurred then
        if detail < 0 or old_detail >= 0 then return end
        fact = lent(old_occurred, recorded, string.sub(old, BEFORE_DETAIL + 1), detail, fact)
      elseif detail < 0 and old_detail >= 0 then
        fact = lent(occurred, recorded, string.sub(fact, BEFORE_DETAIL + 1), old_detail, old)
      end
    end
  end
  redis.call('HSET', KEYS[4], thing, fact)
  redis.call('EXPIRE', KEYS[4], FACT_EXPIRY)
  if not old and redis.call('HLEN', KEYS[4]) > FACTS_KEPT then drop_one_fact() end
end

-- Lets go of what is too old, from the front and up to the first that is not: at most twice as much
-- as came, so that nobody waits for a long log to go. Answers how long the log is then.
local function trim(length, came)
  for _ = 1, 2 * came + 16 do
    local oldest = redis.call('LINDEX', KEYS[2], 0)
    if not oldest then break end
    if #oldest >= BEFORE_TRACE and now - struct.unpack('>d', oldest) <= WINDOW then break end
    redis.call('LPOP', KEYS[2])
    length = length - 1
  end
  return length
end

-- These raise on a key of a wrong type, as HMGET does.
local length = redis.call('LLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('HLEN', KEYS[4])

local at = find()
if not at then
  at, length = start(), 0
end
local answers, announcements = {}, {}
for i = 8, #ARGV, 6 do
  if redis.call('ZADD', KEYS[3], 'NX', at.seq + 1, ARGV[i]) == 1 then
    at.seq = at.seq + 1
    redis.call('RPUSH', KEYS[2], ARGV[i + 1])
    if ARGV[i + 2] ~= '' then remember(ARGV[i + 2], ARGV[i + 3]) end
    if ARGV[i + 4] ~= '' then remember(ARGV[i + 4], ARGV[i + 5]) end
    answers[#answers + 1] = number(at.seq)
    announcements[#announcements + 1] = CUSTOMER .. at.epoch .. ' ' .. number(at.seq) .. ' ' .. ARGV[i + 1]
  else
    answers[#answers + 1] = '0'
  end
end

local came, announced = #announcements, 1
if came > 0 then
  redis.call('HSET', KEYS[1], 'seq', at.seq, 'generation', GENERATION)
  if is_old(at) then redis.call('HSET', KEYS[1], 'touched', NOW) end
  if is_old(at) or at.seq == came then lives_on() end
  redis.call('EXPIRE', KEYS[2], LOG_EXPIRY)
  -- An id is let go when it is not among the newest, and its event is so old that it left the log.
  local first = at.seq - trim(length + came, came) + 1
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', math.min(at.seq - KEPT_IDS, first - 1))
  -- Last, and not in the way of what was recorded: an announcement may be lost, an event may not.
  for _, announcement in ipairs(announcements) do
    local heard = redis.pcall('PUBLISH', CHANNEL, announcement)
    if type(heard) == 'table' then announced = 0 end
  end
end
return announced .. ' ' .. at.epoch .. ' ' .. table.concat(answers, ' ')
