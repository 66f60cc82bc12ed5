-- The customer's head. Answers {epoch, seq}.

local at = asked()
return { at.epoch, number(at.seq) }
